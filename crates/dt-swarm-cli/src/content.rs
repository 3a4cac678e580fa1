//! `add`, `pin`, `unpin`, `gc`: what this robot keeps of content.

use crate::arguments::Arguments;
use crate::error::CliError;
use crate::local;
use crate::text::{clean, count, size};
use control::{Answer, Client, Pinned, Progress, Request};
use serde_json::{Value, json};
use std::io::{self, IsTerminal as _, Write as _};
use std::path::Path;

type Shown = Result<(String, Value), CliError>;

/// `add FILE`.
pub(crate) fn add(arguments: &Arguments, file: &Path, copy: bool) -> Shown {
    local::check(arguments)?;
    let unread = |source| CliError::Unread { path: file.to_owned(), source };
    let path = file.canonicalize().map_err(unread)?;
    let text = path.to_str().ok_or_else(|| CliError::NotUnicode(path.clone()))?;
    let mut client = local::open(arguments)?;
    let Pinned { cid, bytes } = carry_out(&mut client, &Request::Add { path: text.to_owned(), copy })?;
    let how = if copy { "copied into the store" } else { "served where it is, as long as it stays as it is" };
    let shown = format!("{cid}\n{}: {}, {how}\n", clean(text, 300), size(bytes));
    Ok((shown, json!({ "cid": cid, "bytes": bytes, "file": text, "in_place": !copy })))
}

/// `pin CID`.
pub(crate) fn pin(arguments: &Arguments, cid: &str) -> Shown {
    let mut client = local::open(arguments)?;
    let Pinned { cid, bytes } = carry_out(&mut client, &Request::Pin { cid: cid.to_owned() })?;
    Ok((format!("{}: {}, pinned\n", clean(&cid, 200), size(bytes)), json!({ "cid": cid, "bytes": bytes })))
}

/// `unpin CID`.
pub(crate) fn unpin(arguments: &Arguments, cid: &str) -> Shown {
    local::open(arguments)?.order(&Request::Unpin { cid: cid.to_owned() })?;
    let shown = "Not pinned any more; its blocks go when room is needed, or with `gc`.\n";
    Ok((shown.to_owned(), json!({ "done": true })))
}

/// `gc`.
pub(crate) fn collect_garbage(arguments: &Arguments) -> Shown {
    let mut client = local::open(arguments)?;
    match client.ask(&Request::CollectGarbage {})? {
        Answer::Freed(freed) => {
            let mut shown = format!("Freed {}: {}.\n", size(freed.bytes), count(freed.blocks, "block"));
            if freed.files > 0 {
                shown += &format!(
                    "{} served in place no more, and not touched.\n",
                    if freed.files == 1 {
                        "1 file is".to_owned()
                    } else {
                        format!("{} files are", freed.files)
                    }
                );
            }
            Ok((shown, json!(freed)))
        }
        other => Err(client.unexpected(&other).into()),
    }
}

/// Orders something that takes its time, and shows how far it is. Whoever does not wait for its end ends it.
fn carry_out(client: &mut Client, request: &Request) -> Result<Pinned, CliError> {
    let work = match client.ask(request)? {
        Answer::Begun { work } => work,
        other => return Err(client.unexpected(&other).into()),
    };
    let is_seen = io::stderr().is_terminal();
    loop {
        match client.ask(&Request::Look { work }) {
            Ok(Answer::Working(progress)) if is_seen => show(Some(progress)),
            Ok(Answer::Working(_)) => {}
            ended => {
                if is_seen {
                    show(None);
                }
                return match ended? {
                    Answer::Pinned(pinned) => Ok(pinned),
                    other => Err(client.unexpected(&other).into()),
                };
            }
        }
    }
}

/// Shows progress in a line of its own, which the next overwrites.
fn show(progress: Option<Progress>) {
    let words = progress.map(|Progress { done, total }| match total {
        Some(total) if total > 0 => {
            // Blocks have a little more bytes than the content that they hold.
            let done = done.min(total);
            format!("{} of {} ({} %)", size(done), size(total), u128::from(done) * 100 / u128::from(total))
        }
        _ => size(done),
    });
    // Without a place for it nothing is lost.
    let _ = write!(io::stderr(), "\r\x1b[K{}", words.unwrap_or_default());
}
