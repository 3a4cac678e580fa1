//! `report`: lists the files that are shared in the swarm.

mod changes;
mod dropped;
mod file;
mod hidden;
mod left_out;
mod order;
mod page;
mod rows;

use self::changes::Changes;
use self::dropped::Dropped;
use self::file::File;
use self::left_out::LeftOut;
use self::order::{Order, Part, Sort};
use self::rows::Rows;
use super::Command;
use crate::context::{Context, Reading};
use crate::error::CliError;
use crate::live_table::{self, LiveTable, NowOrLive};
use crate::output::answered::Answered;
use crate::output::discarder::Discarder;
use crate::output::names::{HOSTNAMES, Names};
use crate::output::recording::FileKind;
use crate::output::shared_folders::SharedFolders;
use crate::output::uploaded::UploadedCopy;
use crate::output::{Form, Live, Output};
use crate::page_file;
use crate::period::age;
use crate::robots::Selector;
use crate::shared_files::{self, KEPT, UPLOADED, cid_end};
use crate::terminal::{USUAL_WIDTH, terminal};
use crate::text::{clean, count};
use clap::{Args, ValueHint};
use dcache::{Set, Time, buckets};
use logs::{Catalogs, Counting, SharedFile, State};
use serde::Serialize;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Patterns of the buckets that the report reads beside those of shared files.
const OTHER_BUCKETS: [&str; 3] = [HOSTNAMES, buckets::KEEPS.pattern(), buckets::UPLOADS.pattern()];
/// Maximum number of columns of a file's name in a line about a change.
const MAX_NAME_SHOWN: usize = 48;
/// Minimum number of files that a terminal shows, however small it is.
const MIN_FILES_SHOWN: usize = 5;
/// Lines of the text around the rows of the table: the header and its line, an empty line, the number of files, and the
/// prompt of the shell.
const LINES_AROUND: usize = 5;
/// Time after which a terminal shows the table again although nothing changed.
const REDRAW_EVERY: Duration = Duration::from_secs(10);
/// Maximum time of one wait for a change without a terminal.
const LONGEST_WAIT: Duration = Duration::from_secs(60);

const EXAMPLES: &str = "\
Examples:
  dt-swarm-cli localhost report
  dt-swarm-cli localhost report --robot duckie7 --since 1d
  dt-swarm-cli localhost report --kind bag --state shared --json
  dt-swarm-cli localhost report --sort changed --limit 20    shows the 20 latest files
  dt-swarm-cli localhost report --html files.html            writes a page for a browser, which sorts and filters
  dt-swarm-cli localhost report --watch                      shows the files live, until Ctrl-C

`log FILE` shows everything that is known about one file.";

/// Lists the shared files with name, size, age, uploader, state, copies and CID.
///
/// A file is `shared` by its uploader. It is `verified` once another robot has checked it. Then robots keep copies. It is
/// `kept` while there are fewer copies than the swarm should have (the setting `copies`), and `safe` when there are enough.
/// The copy of the uploader counts. A file is `uploaded` once a robot states that it is in a storage; --json shows where. A
/// `discarded` file is listed below the table, with the peers that discarded it. A ? after the uploader means that the
/// uploader did not sign this entry itself. The age is the time since the last change or the end of the recording.
///
/// The table fits the terminal, or 80 columns without one. So names are cut in their middle, and only the end of the CID is
/// shown. `log`, `get`, `discard` and `undiscard` accept this end. A terminal shows as many files as fit.
///
/// For the daemon on this computer, the report also shows which files of its shared folders are not shared, and why, and
/// which files are on a disk that is not there.
#[derive(Clone, Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Report {
    /// Shows only files that this robot shared
    #[arg(long, value_name = "NAME", value_hint = ValueHint::Hostname)]
    robot: Option<String>,
    /// Shows only files that were changed or recorded within this time, such as 2h or 1d
    #[arg(long, value_name = "DURATION", value_parser = age)]
    since: Option<Duration>,
    /// Shows only files of this kind
    #[arg(long, value_enum)]
    kind: Option<FileKind>,
    /// Shows only files in this state
    #[arg(long, value_enum)]
    state: Option<FileState>,
    /// Sorts the files
    #[arg(long, value_enum, value_name = "PROPERTY", default_value_t = Sort::Name)]
    sort: Sort,
    /// Sorts in the reverse order
    #[arg(long)]
    reverse: bool,
    /// Shows at most this many files; 0 is all [default: as many as fit on the terminal, otherwise all]
    #[arg(long, value_name = "N")]
    limit: Option<usize>,
    /// Leaves out the first N files
    #[arg(long, value_name = "N", default_value_t = 0)]
    offset: usize,
    /// Shows whole names and CIDs, and the robots that keep each file, however wide the table is
    #[arg(long)]
    wide: bool,
    /// Shows the table again at each change, until Ctrl-C; a line for each change if the output is not a terminal
    #[arg(long)]
    watch: bool,
    /// Also writes the files as an HTML page, which needs no other file. Its table is sorted by a click
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath, conflicts_with = "watch")]
    html: Option<PathBuf>,
    /// Overwrites the file even if it is not a page that this command wrote
    #[arg(long, requires = "html")]
    force: bool,
}

/// State of a file, as an option.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum FileState {
    /// No other robot has checked it yet
    Shared,
    /// Another robot has checked it
    Verified,
    /// Robots keep it, but too few
    Kept,
    /// Enough robots keep it
    Safe,
    /// It is in a storage
    Uploaded,
    /// It was found bad, or removed from the swarm
    Discarded,
}

impl FileState {
    const fn name(self) -> &'static str {
        match self {
            Self::Shared => State::Shared.name(),
            Self::Verified => State::Verified.name(),
            Self::Kept => KEPT,
            Self::Safe => State::Safe.name(),
            Self::Uploaded => UPLOADED,
            Self::Discarded => State::Discarded.name(),
        }
    }
}

/// The shared files.
#[derive(Debug, Serialize)]
pub(crate) struct Files {
    #[serde(flatten)]
    answered: Answered,
    /// The number of all shared files, also those that the options leave out.
    shared_files: usize,
    /// The number of files that `--robot`, `--since`, `--kind` and `--state` choose.
    chosen_files: usize,
    /// The files, in the order of `--sort`, otherwise of name and CID. Files without a name are last.
    files: Vec<File>,
    /// The number of copies that the swarm should have of each file, as the daemon states it.
    wanted_copies: usize,
    #[serde(flatten)]
    local: Local,
    /// The path of the HTML page that was written; `null` if none was.
    path: Option<String>,
    #[serde(skip)]
    view: View,
    /// The text in place of the table, with `--watch`.
    #[serde(skip)]
    live: Option<String>,
}

/// Answers of the daemon about its own files.
#[derive(Debug, Default, Serialize)]
struct Local {
    #[serde(flatten)]
    folders: SharedFolders,
    /// The numbers of files that the daemon leaves out for now; `null` when it runs on another computer, or its control
    /// socket cannot be used.
    left_out: Option<LeftOut>,
    /// The copies that the daemon let go of lately, the newest first; `null` as for `left_out`.
    dropped_files: Option<Vec<Dropped>>,
}

impl Local {
    /// Asks the daemon. Nothing is known when it runs on another computer, or its control socket cannot be used.
    fn ask(context: &Context) -> Self {
        if context.client().is_err() {
            return Self::default();
        }
        Self {
            folders: SharedFolders::ask(context),
            left_out: LeftOut::ask(context),
            dropped_files: dropped::ask(context),
        }
    }

    /// Returns the lines below the table.
    fn show(&self) -> String {
        let left_out = self.left_out.as_ref().map_or_else(String::new, LeftOut::show);
        let dropped = self.dropped_files.as_deref().map_or_else(String::new, dropped::show);
        self.folders.show() + &left_out + &dropped
    }
}

/// How the table is shown to people.
#[derive(Clone, Copy, Debug, Default)]
struct View {
    /// The part of the table.
    part: Part,
    /// Maximum number of columns; `None` is no limit.
    columns: Option<usize>,
    /// Number of lines of the terminal, if as many files are shown as fit.
    lines: Option<usize>,
}

impl Command for Report {
    type Output = NowOrLive<Files>;

    fn run(&self, context: &Context) -> Result<NowOrLive<Files>, CliError> {
        if self.watch {
            return self.watch(context).map(NowOrLive::Live);
        }
        if let Some(path) = &self.html {
            page_file::check(&page::PAGE, path, self.force)?;
        }
        let Reading { answer, names, catalogs, .. } = context.read_shared(&OTHER_BUCKETS)?;
        let answered = Answered::new(&answer, &names);
        let mut files = self.files(context.form(), (&answer.set, &catalogs), answered, &names);
        files.local = Local::ask(context);
        if let Some(path) = &self.html {
            files.write(path, self.order())?;
        }
        Ok(NowOrLive::Now(files))
    }
}

impl Report {
    /// Returns the files again at each change.
    fn watch(&self, context: &Context) -> Result<Live<Files>, CliError> {
        let longest = live_table::longest_wait(context, REDRAW_EVERY, LONGEST_WAIT);
        // Another daemon does not answer these questions later, either.
        let is_here = Local::ask(context).left_out.is_some();
        let mut changes = Changes::begin(context, longest)?;
        let (report, asked) = (self.clone(), context.clone());
        Ok(live_table::watch(context, move || {
            let (set, catalogs, answered, names) = changes.next()?;
            let mut files = report.files(asked.form(), (set, catalogs), answered, &names);
            if is_here {
                files.local = Local::ask(&asked);
            }
            Ok(files)
        }))
    }

    /// Returns the files that the options choose, out of the records of the daemon.
    fn files(
        &self,
        form: Form,
        (set, catalogs): (&Set, &Catalogs),
        answered: Answered,
        names: &Names,
    ) -> Files {
        let now = answered.time.0;
        let wanted_copies = shared_files::wanted_copies(set, answered.daemon.peer.peer, now);
        let counting = Counting::new(set, catalogs, None, now);
        let file = |file: &SharedFile| {
            let uploads = UploadedCopy::read(&counting, &file.cid, names);
            File::new(file, (uploads, Discarder::of(file, set, now, names)), wanted_copies, names)
        };
        let mut files: Vec<File> = shared_files::list(set, catalogs, now).iter().map(file).collect();
        let shared_files = files.len();
        let robot = self.robot.as_deref().map(Selector::new);
        files.retain(|file| self.takes(file, robot.as_ref(), now));
        let chosen_files = files.len();
        self.order().sort(&mut files);
        let is_cut = form == Form::Json || self.html.is_some();
        if is_cut {
            self.part().retain(&mut files);
        }
        Files {
            answered,
            shared_files,
            chosen_files,
            files,
            wanted_copies,
            local: Local::default(),
            path: None,
            view: self.view(is_cut),
            live: None,
        }
    }

    fn order(&self) -> Order {
        Order { sort: self.sort, is_reversed: self.reverse }
    }

    /// Returns the part of the files that the options name.
    fn part(&self) -> Part {
        Part { offset: self.offset, limit: self.limit.filter(|limit| *limit > 0) }
    }

    /// Returns how the table is shown. `is_cut` says whether there are only the files of the part.
    fn view(&self, is_cut: bool) -> View {
        let terminal = terminal();
        let columns = terminal.map_or(USUAL_WIDTH, |terminal| terminal.columns);
        let lines = terminal.filter(|_| self.limit.is_none()).map(|terminal| terminal.rows);
        let part = if is_cut { Part::default() } else { self.part() };
        View { part, columns: (!self.wide).then_some(columns), lines }
    }

    /// Returns whether the options choose this file.
    fn takes(&self, file: &File, robot: Option<&Selector>, now: Time) -> bool {
        let is_of = |robot: &Selector| {
            let uploader = file.uploader.as_ref();
            uploader.is_some_and(|peer| robot.means(peer.hostname.as_deref(), peer.peer))
        };
        let is_recent = |within: &Duration| {
            let begin = now.0.saturating_sub(within.as_secs());
            file.latest().is_some_and(|time| time.0 >= begin)
        };
        robot.is_none_or(is_of)
            && self.since.as_ref().is_none_or(is_recent)
            && self.kind.is_none_or(|wanted| wanted == file.kind())
            && self.state.is_none_or(|state| state.name() == file.state)
    }
}

impl Files {
    fn write(&mut self, path: &Path, order: Order) -> Result<(), CliError> {
        let text = page::page(self, order).map_err(|error| CliError::Output(error.into()))?;
        page_file::write(&page::PAGE, path, &text)?;
        self.path = Some(path.display().to_string());
        Ok(())
    }

    /// Returns the lines below the table.
    fn notes(&self, hidden: &[&File]) -> String {
        let written = self.path.as_ref().map(|path| format!("{} was written.\n", clean(path, 200)));
        let (hidden, local, footer) = (hidden::show(hidden), self.local.show(), self.answered.footer());
        format!("{hidden}\n{local}{footer}{}", written.unwrap_or_default())
    }

    /// Returns the table with the part of the files that is shown, above these notes.
    fn rows(&self, listed: &[&File], notes: &str) -> String {
        let View { part: Part { offset, limit }, columns, lines } = self.view;
        let fitting =
            |lines: usize| lines.saturating_sub(notes.lines().count() + LINES_AROUND).max(MIN_FILES_SHOWN);
        let part = Part { offset, limit: limit.or(lines.map(fitting)) };
        let shown = part.of(listed);
        let number = count(listed.len(), "file");
        if shown.is_empty() {
            return format!("{number}, none after the first {offset}");
        }
        let table = Rows::new(&self.files, self.wanted_copies, self.answered.time.0).table(shown, columns);
        let end = offset + shown.len();
        let which = match shown.len() == listed.len() {
            true => String::new(),
            false => format!(", of which {} to {end} are shown.", offset + 1),
        };
        let rest = match end < listed.len() {
            true => format!(" The next: --offset {end}. All: --limit 0."),
            false => String::new(),
        };
        format!("{table}\n\n{number}{which}{rest}")
    }
}

impl Output for Files {
    fn show(&self) -> String {
        if let Some(live) = &self.live {
            return live.clone();
        }
        let (hidden, listed): (Vec<&File>, Vec<&File>) =
            self.files.iter().partition(|file| file.is_discarded());
        let notes = self.notes(&hidden);
        let shown = match listed.is_empty() {
            // The options choose discarded files, which are listed below the table.
            true if self.shared_files > self.files.len() && !hidden.is_empty() => String::new(),
            true if self.shared_files > self.files.len() => {
                format!("No file fits the options; {} in total.", count(self.shared_files, "file"))
            }
            true => {
                "No files are shared. Put one into the shared folder of any host of the swarm.".to_owned()
            }
            false => self.rows(&listed, &notes),
        };
        shown + &notes
    }
}

impl LiveTable for Files {
    fn lines(&self) -> BTreeMap<String, String> {
        let line = |file: &File| {
            let name = file.label().map_or("?".to_owned(), |name| clean(name, MAX_NAME_SHOWN));
            let (cid, holders, wanted) = (&file.file.cid, file.holders.len(), self.wanted_copies);
            (cid.clone(), format!("{name} ({}) {}, {holders} of {wanted} copies", cid_end(cid), file.state))
        };
        self.files.iter().map(line).collect()
    }

    fn set_text(&mut self, text: String) {
        self.live = Some(text);
    }
}

#[cfg(test)]
mod fixture {
    use super::*;
    use crate::output::fields::{Daemon, PeerRef, Timestamp};

    /// Makes the report of a daemon that nobody else knows.
    pub(super) fn files(files: Vec<File>) -> Files {
        let peer = PeerRef { peer: file::fixture::peer(77, None).peer, hostname: Some("robot1".into()) };
        let daemon =
            Daemon { peer, version: None, uptime_seconds: None, clock_ahead_seconds: None, records: None };
        let answered = Answered {
            daemon,
            time: Timestamp(Time(1_798_000_000)),
            records_read: 0,
            refused_by_daemon: BTreeMap::new(),
            refused_here: BTreeMap::new(),
        };
        Files {
            answered,
            shared_files: files.len(),
            chosen_files: files.len(),
            files,
            wanted_copies: 3,
            local: Local::default(),
            path: None,
            view: View::default(),
            live: None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::arguments::Arguments;
    use crate::commands::AnyCommand;
    use crate::output::fields::Timestamp;
    use crate::output::vocabulary;
    use clap::Parser as _;
    use dcache::{Item, Keypair, Kind, Limits, Moment, Policy, Record, Statement, Validity};
    use logs::buckets::Station;
    use std::time::Instant;

    fn many(number: usize) -> Files {
        fixture::files((0..number).map(|number| file::fixture::file(&format!("{number:05}.bag"))).collect())
    }

    fn rows(shown: &str) -> usize {
        shown.lines().filter(|line| line.contains(".bag")).count()
    }

    #[test]
    fn a_terminal_shows_as_many_files_as_fit_and_says_how_to_see_the_rest() {
        let mut files = many(100);
        files.view = View { columns: Some(80), lines: Some(24), ..View::default() };
        let shown = files.show();
        assert!(shown.lines().count() < 24, "{shown}");
        let number = rows(&shown);
        assert!((10..24).contains(&number), "{shown}");
        let rest = format!(
            "100 files, of which 1 to {number} are shown. The next: --offset {number}. All: --limit 0.\n"
        );
        assert!(shown.contains(&rest), "{shown}");
        files.view.part.offset = 95;
        let shown = files.show();
        assert!(
            shown.contains("00095.bag") && shown.contains("100 files, of which 96 to 100 are shown.\n"),
            "{shown}"
        );
        files.view.part.offset = 200;
        assert!(files.show().contains("100 files, none after the first 200\n"));
        files.view = View { part: Part { offset: 3, limit: Some(4) }, ..View::default() };
        assert_eq!(rows(&files.show()), 4);
        files.view = View { lines: Some(200), ..View::default() };
        let shown = files.show();
        assert!(rows(&shown) == 100 && shown.contains("\n100 files\n"), "{shown}");
        vocabulary::checked(&files);
    }

    /// Makes a set with this number of files that a robot keeps.
    fn set_of(number: u64) -> Set {
        let key = Keypair::from_seed([1; 32]);
        let mut set = Set::new(Policy::default(), Limits::NONE);
        let validity = Validity::starting(Time(900), 200);
        for number in 0..number {
            let digits = (0..8).map(|digit| char::from(b'a' + (number >> (4 * digit)) as u8 % 16));
            let digits: String = digits.collect();
            let cid = logs::buckets::parse(&format!("bafkreia{digits}{}", "a".repeat(43))).unwrap();
            let description = logs::Description {
                filename: format!("2027-01-01_{number:05}_lane_following.bag"),
                path: None,
                size: number * 1000,
                changed: Time(number % 900),
                uploader: key.peer_id(),
                recording: None,
            };
            let info = Item { bucket: logs::buckets::info(&cid), data: description.to_data().unwrap() };
            for (index, item) in [Station::Safe.item(&cid), info].into_iter().enumerate() {
                let statement = Statement::new(Kind::Propose, item, validity).unwrap();
                let record =
                    Record::sign(statement, &key, 2 * number + index as u64 + 1, dcache::End::default());
                set.admit_verified(record, Time(1000)).unwrap();
            }
        }
        set.advance(Moment::certain(Time(1000)));
        set
    }

    #[test]
    fn twenty_thousand_files_are_listed_without_a_long_wait() {
        let line = ["x", "h", "report", "--sort", "size", "--reverse"];
        let AnyCommand::Report(report) = Arguments::parse_from(line).command else { panic!("{line:?}") };
        let set = set_of(20_000);
        let begun = Instant::now();
        let answered = fixture::files(Vec::new()).answered;
        let answered = Answered { time: Timestamp(Time(1000)), ..answered };
        let mut files = report.files(Form::Text, (&set, &Catalogs::default()), answered, &Names::default());
        let listed = begun.elapsed();
        assert_eq!((files.files.len(), files.files[3].file.bytes), (20_000, Some(3000)));
        files.view = View { columns: Some(80), ..View::default() };
        let text = files.show();
        let shown = begun.elapsed() - listed;
        assert_eq!(rows(&text), 20_000);
        let page = page::page(&files, report.order()).unwrap();
        let written = begun.elapsed() - listed - shown;
        println!("listed in {listed:?}, shown in {shown:?}, page of {} bytes in {written:?}", page.len());
        files.view.lines = Some(40);
        let begun = Instant::now();
        assert!(rows(&files.show()) < 40);
        println!("one screen in {:?}", begun.elapsed());
        // Unoptimised on a busy machine it takes a few seconds. Quadratic work takes minutes.
        assert!(listed + shown + written < Duration::from_secs(60));
    }

    #[test]
    fn lines_about_changes_name_the_file_and_its_state() {
        let lines = many(1).lines();
        assert_eq!(lines.values().next().unwrap(), "00000.bag (…bafy) shared, 0 of 3 copies");
    }
}
