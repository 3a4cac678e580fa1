//! Tables that are shown again at each change, for the option `--watch` of commands.

use crate::context::Context;
use crate::error::CliError;
use crate::output::{Form, Live, Output, Print};
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io::IsTerminal as _;
use std::time::Duration;

/// A document with rows that change.
pub(crate) trait LiveTable: Output {
    /// Returns a line for each row, without ages. The keys identify the rows.
    fn lines(&self) -> BTreeMap<String, String>;

    /// Sets the text that [`Output::show`] returns from now on.
    fn set_text(&mut self, text: String);
}

/// The output of a command with the option `--watch`.
pub(crate) enum NowOrLive<T> {
    Now(T),
    Live(Live<T>),
}

impl<T: Output> Print for NowOrLive<T> {
    fn print(self, form: Form) -> Result<(), CliError> {
        match self {
            Self::Now(document) => document.print(form),
            Self::Live(live) => live.print(form),
        }
    }
}

/// Returns whether the whole table is shown again and again, which is so on a terminal.
fn is_redrawn(context: &Context) -> bool {
    context.form() == Form::Text && std::io::stdout().is_terminal()
}

/// Returns the maximum time of one wait for a change. On a terminal this is `redraw`, after which the table is shown
/// again although nothing changed, because the ages grow. Otherwise it is `longest`.
pub(crate) fn longest_wait(context: &Context, redraw: Duration, longest: Duration) -> Duration {
    if is_redrawn(context) { redraw } else { longest }
}

/// Returns the table at each moment for a terminal, and otherwise at each change. Each call of `next` waits for a change
/// and returns the table, except that the first call returns it at once.
pub(crate) fn watch<T: LiveTable>(
    context: &Context,
    mut next: impl FnMut() -> Result<T, CliError> + 'static,
) -> Live<T> {
    let is_redrawn = is_redrawn(context);
    let mut before = BTreeMap::new();
    let look = move || {
        loop {
            let mut table = next()?;
            let lines = table.lines();
            let changes = changes(&before, &lines);
            before = lines;
            if is_redrawn || !changes.is_empty() {
                let text = if is_redrawn { screen(&table.show()) } else { changes };
                table.set_text(text);
                return Ok(table);
            }
        }
    };
    Live::new(std::iter::repeat_with(look))
}

/// Returns the text that replaces the content of a terminal. Lines that are wider than the terminal are cut.
fn screen(table: &str) -> String {
    format!("\x1b[H\x1b[2J\x1b[?7l{table}\x1b[?7h")
}

/// Returns a line for each row that came (`+`), left (`-`) or changed (`~`).
pub(crate) fn changes(before: &BTreeMap<String, String>, now: &BTreeMap<String, String>) -> String {
    let mut text = String::new();
    for (_, line) in before.iter().filter(|(key, _)| !now.contains_key(*key)) {
        // Writing to a String does not fail.
        let _ = writeln!(text, "- {line}");
    }
    for (key, line) in now {
        let _ = match before.get(key) {
            None => writeln!(text, "+ {line}"),
            Some(former) if former != line => writeln!(text, "~ {line}"),
            Some(_) => Ok(()),
        };
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_change_of_a_row_is_one_line() {
        let rows = |rows: &[(&str, &str)]| {
            rows.iter().map(|(key, line)| ((*key).to_owned(), (*line).to_owned())).collect()
        };
        let before = rows(&[("a", "a shared"), ("b", "b safe"), ("c", "c safe")]);
        let now = rows(&[("a", "a safe"), ("c", "c safe"), ("d", "d shared")]);
        assert_eq!(changes(&before, &now), "- b safe\n~ a safe\n+ d shared\n");
        assert_eq!(changes(&now, &now), "");
    }
}
