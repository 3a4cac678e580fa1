//! Long lists are answered in pages; the client asks again with the number of rows that it has.

/// Maximum number of rows in one page.
pub const MAX_PAGE_ROWS: usize = 500;
/// Size, in bytes of text, after which a page ends.
const MAX_PAGE_BYTES: usize = 100_000;

/// Returns the rows that fit into one answer: at least one when there is any. `bytes` is the size of a row's texts.
pub fn page<T>(rows: impl Iterator<Item = T>, bytes: impl Fn(&T) -> usize) -> Vec<T> {
    let mut sum = 0;
    let fits = rows.take(MAX_PAGE_ROWS).take_while(|row| {
        let is_first = sum == 0;
        sum += 1 + bytes(row);
        is_first || sum <= MAX_PAGE_BYTES
    });
    fits.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_ends_before_it_is_too_large_and_is_never_empty() {
        let lengths = |given: &[usize]| page(given.iter().copied(), |length| *length).len();
        assert_eq!(lengths(&[]), 0);
        assert_eq!(lengths(&[10; 2000]), MAX_PAGE_ROWS);
        assert_eq!(lengths(&[MAX_PAGE_BYTES / 2, MAX_PAGE_BYTES / 3, MAX_PAGE_BYTES / 3]), 2);
        assert_eq!(lengths(&[2 * MAX_PAGE_BYTES, 1]), 1);
    }
}
