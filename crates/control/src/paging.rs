//! Pages of long lists. For the next page, the client sends the number of rows that it has.

/// Maximum number of rows in one page.
pub const MAX_PAGE_ROWS: usize = 500;
/// Maximum size of a page, in bytes of text plus one for each row. A single larger row is allowed.
const MAX_PAGE_BYTES: usize = 100_000;

/// Returns the first rows, as many as fit into one answer, but at least one if there is any.
///
/// `bytes` returns the size of a row's texts in bytes.
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
