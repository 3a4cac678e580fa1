//! The style of tables. There is a line below the header and no other lines, so that tools such as `cut` and `grep` can
//! process the tables.

use comfy_table::{LineStyle, Table, TableStyle};

const STYLE: TableStyle = TableStyle::new().header_separator(LineStyle::none().fill('─').junction('─'));

/// Makes an empty table with these column names.
pub(crate) fn table(header: &[&str]) -> Table {
    let mut table = Table::new();
    table.load_style(STYLE).set_header(header.iter().copied());
    table
}

/// Removes the space on the left of each cell, for a table that has little room.
pub(crate) fn make_dense(table: &mut Table) {
    for column in table.column_iter_mut() {
        column.set_padding((0, 1));
    }
}
