//! The state of the service: in memory, for requests, and on the disk.

use crate::decide::{CarriedFile, Uploading, WaitingUpload};
use crate::engine::Progress;
use crate::journal::UploadTable;
use crate::permission::Permitted;
use crate::plan::Upload;
use crate::protocol::{
    CarriedList, CarriedRow, MAX_REASON_BYTES, MAX_ROWS, UploadList, UploadRow, UploadState,
};
use crate::settings::Settings;
use dcache::PeerId;
use ipfs::Cid;
use logs::{Description, OwnReceipts, Receipt, ReceiptMap, SharedFile};
use service::{Context, ServiceError, WantedFiles};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use store::{Displayed, Table, TableError};
use tokio::sync::watch;

/// An upload under way.
#[derive(Clone, Debug)]
pub(super) struct Running {
    pub(super) name: String,
    pub(super) uploader: PeerId,
    pub(super) progress: watch::Receiver<Progress>,
}

/// An upload whose last attempt failed.
#[derive(Clone, Debug)]
pub(super) struct FailedUpload {
    pub(super) name: String,
    pub(super) uploader: PeerId,
    pub(super) size: u64,
    pub(super) reason: String,
}

/// A file that may be uploaded, and whose upload has not begun.
#[derive(Clone, Debug)]
struct DueUpload {
    cid: Cid,
    name: String,
    uploader: PeerId,
    size: u64,
}

#[derive(Debug, Default)]
struct Tables {
    /// Uploads that were begun and have not ended.
    begun: BTreeSet<Cid>,
    running: BTreeMap<Cid, Running>,
    failed: BTreeMap<Cid, FailedUpload>,
    waiting: BTreeMap<Cid, WaitingUpload>,
    /// Files that may be uploaded, in their order.
    due: Vec<DueUpload>,
    done: ReceiptMap,
    carried: BTreeMap<Cid, CarriedFile>,
    kept: Arc<BTreeSet<Cid>>,
    permitted: Permitted,
    has_role: bool,
    /// Whether the last decision named files to upload.
    has_work: bool,
    /// Reason why nothing is uploaded at this time, or over this connection.
    closed: Option<String>,
}

/// The state of the service. A clone refers to the same state.
#[derive(Clone)]
pub(super) struct State {
    pub(super) uploads: UploadTable,
    done_rows: Table<Displayed<Cid>, Receipt>,
    carried_rows: Table<Displayed<Cid>, CarriedFile>,
    tables: Arc<Mutex<Tables>>,
    /// The receipts, for the catalogue of this node.
    own_receipts: OwnReceipts,
}

impl State {
    /// Reads the state from the disk. This call blocks.
    ///
    /// # Errors
    /// When the disk cannot be read.
    pub(super) fn open(context: &Context) -> Result<Self, TableError> {
        let (uploads, _) = UploadTable::open(context.table("progress"))?;
        let (done_rows, carried_rows) = (context.table("done"), context.table("carried"));
        let done: ReceiptMap = read(&done_rows)?.into_iter().collect();
        let own_receipts: OwnReceipts = context.shared.get();
        own_receipts.set(done.clone());
        let carried = read(&carried_rows)?;
        let tables = Arc::new(Mutex::new(Tables { done, carried, ..Tables::default() }));
        let state = Self { uploads, done_rows, carried_rows, tables, own_receipts };
        // The service `logs` makes its first decision with the files that this node carried before the restart.
        state.tell_wanted(&context.wanted_files);
        Ok(state)
    }

    fn tables(&self) -> MutexGuard<'_, Tables> {
        // Each change leaves the tables consistent, so a poisoned lock is safe to use.
        self.tables.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Reads the uploads that an earlier run left, and forgets which ones were running.
    ///
    /// # Errors
    /// When the disk cannot be read.
    pub(super) async fn begin(&self) -> Result<BTreeMap<Cid, Upload>, ServiceError> {
        self.tables().running.clear();
        let uploads = self.read_uploads().await?;
        self.tables().begun = uploads.keys().copied().collect();
        Ok(uploads)
    }

    /// Reads the recorded uploads.
    ///
    /// # Errors
    /// When the disk cannot be read.
    pub(super) async fn read_uploads(&self) -> Result<BTreeMap<Cid, Upload>, ServiceError> {
        let table = self.uploads.clone();
        let read =
            tokio::task::spawn_blocking(move || table.read_all()).await.map_err(ServiceError::other)??;
        let named = |(name, upload): (String, Upload)| Some((logs::buckets::parse(&name)?, upload));
        Ok(read.into_iter().filter_map(named).collect())
    }

    /// Passes the state to the decider.
    pub(super) fn fill(&self, decider: &mut Uploading) {
        let tables = self.tables();
        decider.set_permission(tables.permitted.is_allowed, tables.permitted.is_denied());
        decider.set_begun(tables.begun.clone());
        decider.set_done(tables.done.clone());
        decider.set_carried(tables.carried.clone());
        decider.set_kept(tables.kept.clone());
    }

    pub(super) fn note_decision(&self, waiting: BTreeMap<Cid, WaitingUpload>, has_role: bool) {
        let mut tables = self.tables();
        (tables.waiting, tables.has_role) = (waiting, has_role);
    }

    /// Notes the files that may be uploaded.
    pub(super) fn note_due(&self, files: &[Box<SharedFile>]) {
        let due = |file: &SharedFile| {
            let Description { filename, uploader, size, .. } = file.description.as_ref()?;
            Some(DueUpload { cid: file.cid, name: filename.clone(), uploader: *uploader, size: *size })
        };
        self.tables().due = files.iter().filter_map(|file| due(file)).collect();
    }

    pub(super) fn has_role(&self) -> bool {
        self.tables().has_role
    }

    /// Notes whether there are files to upload. Returns whether this is new.
    pub(super) fn set_has_work(&self, has_work: bool) -> bool {
        let had_work = std::mem::replace(&mut self.tables().has_work, has_work);
        has_work && !had_work
    }

    pub(super) fn has_work(&self) -> bool {
        self.tables().has_work
    }

    /// Returns the reason why nothing is uploaded at this time, or over this connection.
    pub(super) fn closed(&self) -> Option<String> {
        self.tables().closed.clone()
    }

    pub(super) fn set_closed(&self, closed: Option<String>) {
        self.tables().closed = closed;
    }

    pub(super) fn set_kept(&self, kept: BTreeSet<Cid>) {
        self.tables().kept = Arc::new(kept);
    }

    pub(super) fn is_news(&self, permitted: &Permitted) -> bool {
        self.tables().permitted != *permitted
    }

    pub(super) fn set_permitted(&self, permitted: Permitted) {
        self.tables().permitted = permitted;
    }

    /// Notes an upload that is about to begin.
    pub(super) fn note_running(&self, cid: Cid, running: Running) {
        let mut tables = self.tables();
        tables.failed.remove(&cid);
        tables.begun.insert(cid);
        tables.running.insert(cid, running);
    }

    /// Notes that the task of an upload has ended. `is_over` tells whether the upload has ended as well.
    pub(super) fn note_ended(&self, cid: Cid, is_over: bool, failed: Option<FailedUpload>) {
        let mut tables = self.tables();
        tables.running.remove(&cid);
        if is_over {
            tables.begun.remove(&cid);
        }
        if let Some(failed) = failed {
            tables.failed.insert(cid, failed);
        }
    }

    /// Forgets the reasons of failed uploads that are not tried any more.
    pub(super) fn keep_failed(&self, is_tried: impl Fn(&Cid) -> bool) {
        self.tables().failed.retain(|cid, _| is_tried(cid));
    }

    /// Records the receipt of an upload on the disk.
    ///
    /// # Errors
    /// When the disk cannot be written.
    pub(super) async fn add_receipt(&self, cid: Cid, receipt: Receipt) -> Result<(), TableError> {
        self.done_rows.write_async(&[(Displayed(cid), Some(receipt.clone()))]).await?;
        self.change_receipts(|done| done.insert(cid, receipt));
        Ok(())
    }

    /// Removes the receipts of these files.
    ///
    /// # Errors
    /// When the disk cannot be written.
    pub(super) async fn forget_receipts(&self, cids: &[Cid]) -> Result<(), TableError> {
        if !cids.is_empty() {
            let rows: Vec<_> = cids.iter().map(|cid| (Displayed(*cid), None)).collect();
            self.done_rows.write_async(&rows).await?;
            self.change_receipts(|done| done.remove_all(cids));
        }
        Ok(())
    }

    fn change_receipts(&self, change: impl FnOnce(&mut ReceiptMap)) {
        let mut tables = self.tables();
        change(&mut tables.done);
        self.own_receipts.set(tables.done.clone());
    }

    /// Records that this node keeps a file until it is uploaded.
    ///
    /// # Errors
    /// When the disk cannot be written.
    pub(super) async fn carry(&self, cid: Cid, file: CarriedFile) -> Result<(), TableError> {
        let is_same = self.tables().carried.get(&cid) == Some(&file);
        if is_same {
            return Ok(());
        }
        tracing::info!(%cid, name = file.name, "this robot keeps a file until it is uploaded");
        self.write_carried(cid, Some(file)).await
    }

    /// Records that a file is not kept for its upload any more.
    ///
    /// # Errors
    /// When the disk cannot be written.
    pub(super) async fn release(&self, cid: Cid) -> Result<(), TableError> {
        let file = self.tables().carried.get(&cid).filter(|file| !file.is_released).cloned();
        match file {
            Some(file) => self.write_carried(cid, Some(CarriedFile { is_released: true, ..file })).await,
            None => Ok(()),
        }
    }

    /// Removes the rows of released files that the service `logs` has handled.
    ///
    /// # Errors
    /// When the disk cannot be written.
    pub(super) async fn drop_released(&self, waiting: &BTreeSet<Cid>) -> Result<(), TableError> {
        let is_handled = |(cid, file): &(&Cid, &CarriedFile)| file.is_released && !waiting.contains(cid);
        let handled: Vec<Cid> =
            self.tables().carried.iter().filter(is_handled).map(|(cid, _)| *cid).collect();
        for cid in handled {
            self.write_carried(cid, None).await?;
        }
        Ok(())
    }

    async fn write_carried(&self, cid: Cid, file: Option<CarriedFile>) -> Result<(), TableError> {
        self.carried_rows.write_async(&[(Displayed(cid), file.clone())]).await?;
        let mut tables = self.tables();
        match file {
            Some(file) => drop(tables.carried.insert(cid, file)),
            None => drop(tables.carried.remove(&cid)),
        }
        Ok(())
    }

    /// Tells the service `logs` which files to keep and which ones are not needed any more.
    pub(super) fn tell_wanted(&self, channel: &watch::Sender<WantedFiles>) {
        let of = |is_released: bool| {
            let tables = self.tables();
            let files = tables.carried.iter().filter(|(_, file)| file.is_released == is_released);
            files.map(|(cid, _)| *cid).collect()
        };
        let told = WantedFiles { wanted: of(false), released: of(true) };
        channel.send_if_modified(|known| {
            let is_new = *known != told;
            *known = told;
            is_new
        });
    }

    pub(super) fn list(&self, destination: Option<String>, reason: Option<String>) -> UploadList {
        let tables = self.tables();
        let mut uploads: Vec<UploadRow> = tables.running.iter().map(running_row).collect();
        uploads.extend(tables.failed.iter().map(failed_row));
        let is_other = |cid: &Cid| !tables.running.contains_key(cid) && !tables.failed.contains_key(cid);
        let due = tables.due.iter().filter(|due| is_other(&due.cid));
        uploads.extend(due.map(|due| due_row(due, reason.as_deref())));
        uploads.extend(tables.waiting.iter().filter(|(cid, _)| is_other(cid)).map(waiting_row));
        let count = uploads.len();
        uploads.truncate(MAX_ROWS);
        let Permitted { is_allowed, file, error } = tables.permitted.clone();
        let permission_file = file.map(|file| file.display().to_string());
        UploadList {
            destination,
            reason,
            is_allowed,
            permission_file,
            permission_error: error,
            uploads,
            count,
        }
    }

    pub(super) fn carried_list(&self, settings: &Settings) -> CarriedList {
        let tables = self.tables();
        let carried = || tables.carried.iter().filter(|(_, file)| !file.is_released);
        let row = |(cid, file): (&Cid, &CarriedFile)| CarriedRow {
            cid: cid.to_string(),
            name: file.name.clone(),
            bytes: file.bytes,
            uploader: file.uploader,
            is_here: tables.kept.contains(cid),
        };
        CarriedList {
            is_carrying: settings.carry,
            max_bytes: settings.max_carried_bytes(),
            files: carried().map(row).take(MAX_ROWS).collect(),
            count: carried().count(),
            bytes: carried().map(|(_, file)| file.bytes).fold(0, u64::saturating_add),
        }
    }
}

fn read<V: serde::Serialize + serde::de::DeserializeOwned>(
    table: &Table<Displayed<Cid>, V>,
) -> Result<BTreeMap<Cid, V>, TableError> {
    Ok(table.read_all()?.readable.into_iter().map(|(Displayed(cid), row)| (cid, row)).collect())
}

fn running_row((cid, running): (&Cid, &Running)) -> UploadRow {
    let progress = running.progress.borrow().clone();
    UploadRow {
        cid: cid.to_string(),
        name: running.name.clone(),
        uploader: running.uploader,
        size: progress.size,
        bytes: progress.bytes,
        state: UploadState::Uploading,
        step: Some(progress.step),
        reason: progress.waits.map(shorten),
    }
}

fn failed_row((cid, failed): (&Cid, &FailedUpload)) -> UploadRow {
    UploadRow {
        cid: cid.to_string(),
        name: failed.name.clone(),
        uploader: failed.uploader,
        size: failed.size,
        bytes: 0,
        state: UploadState::Failed,
        step: None,
        reason: Some(shorten(failed.reason.clone())),
    }
}

/// Returns the row of a file that may be uploaded. `obstacle` is the reason why nothing is uploaded now.
fn due_row(due: &DueUpload, obstacle: Option<&str>) -> UploadRow {
    UploadRow {
        cid: due.cid.to_string(),
        name: due.name.clone(),
        uploader: due.uploader,
        size: due.size,
        bytes: 0,
        state: UploadState::Waiting,
        step: None,
        reason: Some(shorten(obstacle.unwrap_or("other files come first").to_owned())),
    }
}

fn waiting_row((cid, waiting): (&Cid, &WaitingUpload)) -> UploadRow {
    UploadRow {
        cid: cid.to_string(),
        name: waiting.name.clone(),
        uploader: waiting.uploader,
        size: waiting.bytes,
        bytes: 0,
        state: UploadState::Waiting,
        step: None,
        reason: Some(waiting.reason.sentence().to_owned()),
    }
}

fn shorten(mut reason: String) -> String {
    reason.truncate(reason.floor_char_boundary(MAX_REASON_BYTES));
    reason
}
