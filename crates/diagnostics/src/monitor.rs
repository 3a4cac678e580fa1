//! Measures the host, judges its health, and keeps the history. All functions may block.

use crate::batch::FleetId;
use crate::batch::decide::{Order, Pending};
use crate::batch::make::{self, MakeError, SealedBatch};
use crate::batch::seal::SECRET_BYTES;
use crate::collect::device_health::DeviceHealth;
use crate::collect::{Collector, Places, Root, Space, stamp};
use crate::file_disk::FileDisk;
use crate::health::rules::Rule;
use crate::health::{Health, Report, STALE_AFTER};
use crate::host::HostRoot;
use crate::metrics::{BOOTS, CLOCK_CERTAIN, HEALTH_LEVEL, READINGS_OMITTED};
use crate::points::{Question, points};
use crate::protocol::Points;
use crate::pushed::{Pushed, Taken};
use crate::ring::{Geometry, History};
use crate::sample::{Readings, Stamp};
use dcache::{Moment, PeerId};
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Space, in bytes, that must be left on the disk when the file of the history is made.
const LEFT_FREE: u64 = 100_000_000;

/// The files of the host, and the file systems and text files as this process sees them.
#[derive(Clone, Debug)]
pub(crate) struct Machine {
    host: HostRoot,
    own: HostRoot,
    text_files: Option<String>,
}

impl Machine {
    /// Returns the host whose folders `proc` and `sys` are in `host_root`.
    pub(crate) fn new(host_root: &Path, text_files: Option<String>) -> Self {
        Self { host: HostRoot::new(host_root), own: HostRoot::new("/"), text_files }
    }

    /// Returns the root that has a path.
    fn root_of(&self, path: &str) -> &HostRoot {
        let is_text_file = self.text_files.as_ref().is_some_and(|folder| path.starts_with(folder.as_str()));
        if is_text_file { &self.own } else { &self.host }
    }
}

impl Root for Machine {
    fn read(&self, path: &str) -> Option<String> {
        self.root_of(path).read(path)
    }

    fn names(&self, folder: &str) -> Vec<String> {
        self.root_of(folder).names(folder)
    }

    fn space(&self, path: &str) -> Option<Space> {
        self.own.space(path)
    }
}

/// Measures the host, and keeps the last results.
#[derive(Debug)]
pub(crate) struct Monitor {
    machine: Machine,
    collector: Collector,
    judge: Health,
    pushed: Pushed,
    history: Option<History<FileDisk>>,
    /// Whether writing the history failed the last time.
    is_failing: bool,
    /// Number of boots with dt-swarm, if it is known.
    boots: Option<u64>,
    /// The last sample.
    last: Option<(Stamp, Readings)>,
    report: Option<Report>,
}

impl Monitor {
    /// Creates a monitor of a host with these places, which judges by these rules.
    pub(crate) fn new(machine: Machine, places: Places, rules: Vec<Rule>, boots: Option<u64>) -> Self {
        Self {
            machine,
            collector: Collector::new(places),
            judge: Health::new(rules),
            pushed: Pushed::default(),
            history: None,
            is_failing: false,
            boots,
            last: None,
            report: None,
        }
    }

    /// Opens the history, unless it is open. Makes the file only where enough space is left.
    ///
    /// # Errors
    /// Returns an error if the file cannot be opened or made.
    pub(crate) fn open_history(&mut self, path: &Path) -> io::Result<()> {
        if self.history.is_some() {
            return Ok(());
        }
        let (geometry, is_new) = (Geometry::ROBOT, !path.exists());
        let folder = path.parent().map(Path::to_owned).unwrap_or_default();
        let space = folder.to_str().and_then(|folder| self.machine.space(folder));
        if is_new && space.is_some_and(|space| space.available < geometry.bytes() + LEFT_FREE) {
            return Err(io::ErrorKind::StorageFull.into());
        }
        let (history, found) = History::open(FileDisk::open(path)?, geometry)?;
        if found.damaged > 0 {
            tracing::info!(
                found.damaged,
                "pages of the history are damaged, as after a power cut, and are left out"
            );
        }
        self.history = Some(history);
        Ok(())
    }

    /// Reads everything, judges it, and adds it to the history. Returns the health, or `None` on a host that cannot be
    /// measured.
    pub(crate) fn sample(&mut self, moment: Moment, device: Option<&DeviceHealth>) -> Option<Report> {
        let (stamp, mut readings) = self.collector.collect(&self.machine, device)?;
        self.pushed.add_to(&mut readings, stamp.uptime());
        readings.add(&CLOCK_CERTAIN, f64::from(u8::from(moment.is_certain)));
        if let Some(boots) = self.boots {
            readings.add(&BOOTS, boots as f64);
        }
        let report = self.judge.judge(stamp.uptime(), &readings);
        readings.add(&HEALTH_LEVEL, f64::from(report.level.number()));
        readings.add(&READINGS_OMITTED, readings.omitted() as f64);
        self.last = Some((stamp, readings.clone()));
        self.report = Some(report.clone());
        self.keep(stamp, readings, moment);
        Some(report)
    }

    fn keep(&mut self, stamp: Stamp, readings: Readings, moment: Moment) {
        let Some(history) = &mut self.history else { return };
        let kept = history.add(stamp, readings, moment.is_certain.then_some(moment.time));
        self.note_failure(kept);
    }

    /// Logs a failure of the disk once, until the disk works again.
    fn note_failure(&mut self, kept: io::Result<()>) {
        match kept {
            Err(error) if !self.is_failing => {
                tracing::warn!(%error, "the history of this robot cannot be written; samples are lost until the disk works again");
                self.is_failing = true;
            }
            Err(_) => {}
            Ok(()) => self.is_failing = false,
        }
    }

    /// Reads and judges only what can end a robot within minutes.
    pub(crate) fn look(&mut self) -> Option<Report> {
        let (stamp, readings) = self.collector.look(&self.machine)?;
        let report = self.judge.judge(stamp.uptime(), &readings);
        self.report = Some(report.clone());
        Some(report)
    }

    /// Writes the samples that are only in memory.
    pub(crate) fn flush(&mut self) {
        if let Some(history) = &mut self.history {
            let flushed = history.flush();
            self.note_failure(flushed);
        }
    }

    /// Returns the last health; `None` before the first sample.
    pub(crate) fn report(&self) -> Option<Report> {
        self.report.clone()
    }

    /// Returns the present readings. There are none when the last sample is old.
    pub(crate) fn readings(&self) -> Readings {
        let now = stamp(&self.machine);
        let is_fresh = |then: &Stamp| {
            now.is_some_and(|now| {
                let age = now.uptime().checked_sub(then.uptime());
                now.boot == then.boot && age.is_some_and(|age| age < STALE_AFTER)
            })
        };
        self.last
            .as_ref()
            .filter(|(then, _)| is_fresh(then))
            .map(|(_, readings)| readings.clone())
            .unwrap_or_default()
    }

    /// Returns a part of the points of a metric; `None` if no history is kept.
    ///
    /// # Errors
    /// Returns an error if the disk cannot be read.
    pub(crate) fn points(&self, question: Question<'_>, moment: Moment) -> io::Result<Option<Points>> {
        let Some(history) = &self.history else { return Ok(None) };
        points(history, question, stamp(&self.machine), moment).map(Some)
    }

    /// Counts the rows of the history after `batched`, which are in no batch yet; `None` if no history is kept.
    pub(crate) fn pending(&self, batched: u64) -> Option<io::Result<Pending>> {
        let (history, now) = (self.history.as_ref()?, stamp(&self.machine)?);
        Some(make::pending(history, batched, now))
    }

    /// Makes the batch of an order. `secret` must be random, and fresh for each batch.
    ///
    /// # Errors
    /// Returns an error if the disk fails, if there are no rows, or if no collector has a valid key.
    pub(crate) fn make_batch(
        &self,
        order: &Order,
        of: (FleetId, PeerId),
        secret: &[u8; SECRET_BYTES],
    ) -> Result<SealedBatch, MakeError> {
        make::make(self.history.as_ref().ok_or(MakeError::Empty)?, order, of, secret)
    }

    /// Takes values of a program for the next samples.
    pub(crate) fn push(&mut self, program: &str, text: &str) -> Taken {
        let uptime = stamp(&self.machine).map_or(Duration::ZERO, |stamp| stamp.uptime());
        self.pushed.take(program, text, uptime)
    }
}

/// Returns the places of a host: the file systems of these paths, without those that are not UTF-8, and the text files.
pub(crate) fn places(filesystems: impl Iterator<Item = PathBuf>, text_files: Option<String>) -> Places {
    let mut paths: Vec<String> = Vec::new();
    for path in filesystems.filter_map(|path| path.into_os_string().into_string().ok()) {
        if !paths.contains(&path) {
            paths.push(path);
        }
    }
    Places { filesystems: paths, text_files }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::health::Level;
    use crate::health::rules::table;
    use crate::metrics::{CUSTOM, TEMPERATURE};
    use dcache::Time;
    use std::fs;
    use tempfile::TempDir;

    const NOW: Time = Time(1_800_000_000);

    /// A host of files.
    struct Host {
        folder: TempDir,
        monitor: Monitor,
    }

    impl Host {
        fn new() -> Self {
            let folder = tempfile::tempdir().unwrap();
            let text_files = folder.path().join("metrics").to_str().map(str::to_owned);
            let machine = Machine::new(&folder.path().join("root"), text_files.clone());
            let places = places(["/".into(), "/".into()].into_iter(), text_files);
            // The load and the disk of the host that runs the test do not matter.
            let rules =
                table().into_iter().filter(|rule| rule.texts.code.starts_with("temperature")).collect();
            let host = Self { folder, monitor: Monitor::new(machine, places, rules, Some(3)) };
            host.write("root/proc/sys/kernel/random/boot_id", "0d3ad5b4-a5e4-4d9c-b7b9-2f6e6a6f7c11\n");
            host.write("root/sys/class/thermal/thermal_zone0/type", "cpu\n");
            host.set(0, 40);
            host
        }

        fn write(&self, path: &str, text: &str) {
            let path = self.folder.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }

        /// Sets the time since the boot, and the temperature.
        fn set(&self, seconds: u64, degrees: u64) {
            self.write("root/proc/uptime", &format!("{seconds}.00 0.00\n"));
            self.write("root/sys/class/thermal/thermal_zone0/temp", &format!("{degrees}000\n"));
        }

        fn history(&self) -> PathBuf {
            self.folder.path().join("history")
        }
    }

    fn moment(time: u64) -> Moment {
        Moment::certain(Time(NOW.0 + time))
    }

    #[test]
    fn a_look_between_two_samples_sees_a_fault() {
        let mut host = Host::new();
        assert_eq!(host.monitor.sample(moment(0), None).map(|report| report.level), Some(Level::Ok));
        host.set(3, 95);
        assert_eq!(host.monitor.look().map(|report| report.level), Some(Level::Error));
        host.set(6, 50);
        assert_eq!(
            host.monitor.look().map(|report| report.level),
            Some(Level::Error),
            "it is not cleared at once"
        );
        host.set(17, 50);
        assert_eq!(host.monitor.look().map(|report| report.level), Some(Level::Ok));
        assert_eq!(host.monitor.report().map(|report| report.level), Some(Level::Ok));
    }

    #[test]
    fn the_history_survives_a_restart() {
        let mut host = Host::new();
        let path = host.history();
        host.monitor.open_history(&path).unwrap();
        for sample in 0..9 {
            host.set(sample * 10, 40 + sample);
            host.monitor.sample(moment(sample * 10), None).unwrap();
        }
        host.monitor.flush();
        host.monitor.history = None;
        host.monitor.open_history(&path).unwrap();
        let question = Question { metric: TEMPERATURE.metric.name, seconds: 600, after: None };
        let points = host.monitor.points(question, moment(80)).unwrap().unwrap();
        let values: Vec<f64> = points.rows.iter().filter_map(|row| row.values[0]).collect();
        assert_eq!(values, (40..49).map(f64::from).collect::<Vec<_>>());
    }

    #[test]
    fn values_of_programs_are_measured_from_files_and_by_pushes() {
        let mut host = Host::new();
        host.write("metrics/a.prom", "lamp 1\n");
        assert_eq!(host.monitor.push("camera", "camera_hz 30\n").taken, 1);
        host.monitor.sample(moment(0), None).unwrap();
        let readings = host.monitor.readings();
        let own: Vec<&str> = readings.of(&CUSTOM).map(|reading| reading.series.label.as_str()).collect();
        assert_eq!(own, ["camera_hz", "lamp"]);
        assert_eq!(readings.value(&BOOTS), Some(3.0));
        host.set(31, 40);
        assert!(host.monitor.readings().is_empty(), "an old sample tells nothing about the present");
    }

    #[test]
    fn a_host_that_tells_nothing_is_not_measured() {
        let folder = tempfile::tempdir().unwrap();
        let machine = Machine::new(folder.path(), None);
        let mut monitor = Monitor::new(machine, Places::default(), table(), None);
        assert_eq!((monitor.sample(moment(0), None), monitor.look(), monitor.report()), (None, None, None));
        assert!(monitor.readings().is_empty());
    }
}
