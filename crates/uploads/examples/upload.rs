//! Uploads one file, and goes on where an earlier run was interrupted. The tests kill it at random moments.
//!
//!     upload STATE DESTINATION ENDPOINT CREDENTIALS FILE NAME [BYTES_PER_SECOND]
//!
//! `STATE` is the file with the state. `DESTINATION` is `s3://BUCKET/PREFIX` or `file:///FOLDER`. `ENDPOINT` and `CREDENTIALS`
//! are `-` for a folder. The key of the object is `logs/NAME`. The program prints each change of the progress, and `done` or the
//! reason why it gave up.

use std::error::Error;
use std::path::Path;
use std::sync::Arc;
use store::Store;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use uploads::{
    Engine, FileSource, Metadata, Object, Pace, Patience, Progress, Settings, Source as _, Stage, Upload,
    UploadTable,
};

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [state, destination, endpoint, credentials, file, name, rest @ ..] = &arguments[..] else {
        return Err(
            "usage: upload STATE DESTINATION ENDPOINT CREDENTIALS FILE NAME [BYTES_PER_SECOND]".into()
        );
    };
    let given = |text: &String| Some(text.clone()).filter(|text| text != "-");
    let settings = Settings {
        destination: Some(destination.parse()?),
        endpoint: given(endpoint),
        credentials_file: given(credentials).map(Into::into),
        part_mib: 5,
        ..Settings::default()
    };
    let pace = Pace::new(rest.first().map(|rate| rate.parse()).transpose()?);
    let storage =
        settings.open(|path| path, "example", pace, Patience::default())?.ok_or("there is no destination")?;
    let (table, mut known) =
        UploadTable::open(Arc::new(Store::open(Path::new(state))?.0).table("uploads/progress"))?;
    let source = FileSource::open(Path::new(file))?;
    let upload = match known.remove(name) {
        Some(upload) => upload,
        None => {
            let metadata = Metadata::default().with("name", file)?.with("cid", name)?;
            let object =
                Object::new(&format!("logs/{name}"), source.size(), settings.part_bytes(), metadata)?;
            let upload = Upload::new(object, uploads::Destination::name(&storage).to_owned());
            table.add(name, &upload).await?;
            upload
        }
    };
    let (progress, shown) = watch::channel(Progress::default());
    let showing = tokio::spawn(show(shown));
    let cancelled = CancellationToken::new();
    let engine = Engine {
        name,
        destination: &storage,
        source: &source,
        journal: &table,
        progress: &progress,
        cancelled: &cancelled,
    };
    let upload = engine.run(upload).await;
    showing.abort();
    match &upload.stage {
        Stage::Done { checked, unswept } => println!("done {checked:?} {unswept:?}"),
        stage => println!("failed {stage:?}"),
    }
    Ok(())
}

async fn show(mut progress: watch::Receiver<Progress>) {
    while progress.changed().await.is_ok() {
        let Progress { bytes, size, waits, .. } = progress.borrow_and_update().clone();
        println!("{bytes} of {size} {}", waits.unwrap_or_default());
    }
}
