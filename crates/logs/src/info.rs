//! The description of a file: as YAML in the `upload_info1.yaml` beside it, and as JSON in the bucket `share/info/CID`.

mod file_path;
mod summary;

use dcache::{Data, DataError, PeerId, Time};
pub use file_path::FilePath;
use serde::{Deserialize, Serialize};
pub use summary::{Summary, Whole};

/// Name of the info file beside the shared file.
pub const INFO_NAME: &str = "upload_info1.yaml";
/// Maximum size of an info file, in bytes. The description of a recording with 1,000 topics fits.
pub const MAX_INFO_BYTES: u64 = 512 << 10;
/// Maximum length of a file name, in bytes. It is the limit of the usual file systems.
const MAX_NAME_BYTES: usize = 255;

/// Description of a file by its uploader.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Description {
    /// Name of the file, without folders.
    pub filename: String,
    /// Path of the file below the shared folder; `None` when it is directly in it, and in descriptions by earlier versions
    /// of the daemon.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub path: Option<FilePath>,
    /// Size of the file in bytes.
    pub size: u64,
    /// Time of the last change of the file.
    pub changed: Time,
    /// Peer in whose shared folder the file was.
    pub uploader: PeerId,
    /// The content of the recording in short; `None` when nothing is known, and in descriptions by earlier versions of the
    /// daemon.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "summary::read_if_known")]
    pub recording: Option<Summary>,
}

/// Reason why a text is not a valid description of a file.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InfoError {
    /// The text is not the YAML or JSON of a description.
    #[error("not a valid description of a file: {0}")]
    Shape(String),
    /// The file name is unsafe: writing a file under it could do harm.
    #[error("not a valid file name: {0:?}")]
    Name(String),
    /// The path is unsafe, or does not end with the file name.
    #[error("not a valid path of a shared file: {0:?}")]
    Path(String),
}

/// Keys of the info file, named as in the original IPSD.
#[derive(Serialize, Deserialize)]
struct InfoFile {
    filename: String,
    #[serde(default)]
    path: Option<FilePath>,
    size: u64,
    /// Seconds since the epoch. The original IPSD wrote fractions of a second; they are dropped.
    ctime: f64,
    upload_node: PeerId,
    #[serde(default)]
    recording: Option<serde_json::Value>,
}

impl Description {
    /// Returns the text of the info file. `whole` is what the recording contains. The same inputs always give the same
    /// bytes, so that a file has one CID.
    ///
    /// # Errors
    /// When the name cannot be written as YAML. No file name is known for which this happens.
    pub fn to_yaml(&self, whole: Option<&Whole>) -> Result<String, InfoError> {
        let Self { filename, path, size, changed, uploader, recording: _ } = self;
        // A JSON text is valid YAML, escapes included (YAML 1.2, section 1.3).
        let filename = json(filename)?;
        let path = match path {
            Some(path) => format!("path: {}\n", json(path.as_str())?),
            None => String::new(),
        };
        let recording = match whole {
            Some(whole) => format!("recording: {}\n", json(whole)?),
            None => String::new(),
        };
        Ok(format!(
            "filename: {filename}\n{path}size: {size}\nctime: {changed}\nupload_node: {uploader}\n{recording}"
        ))
    }

    /// Reads an info file, with what the recording contains. Unknown keys are ignored.
    ///
    /// # Errors
    /// When the text is not the YAML of a description, or the file name is not valid.
    pub fn from_yaml(text: &str) -> Result<(Self, Option<Whole>), InfoError> {
        let file: InfoFile =
            serde_saphyr::from_str(text).map_err(|error| InfoError::Shape(error.to_string()))?;
        let changed = Time(file.ctime.clamp(0.0, 1e12) as u64);
        let InfoFile { filename, path, size, upload_node: uploader, recording, .. } = file;
        let whole = recording.and_then(Whole::read);
        let recording = whole.as_ref().map(|whole| Summary::of(&whole.content));
        let description = Self { filename, path, size, changed, uploader, recording }.checked()?;
        Ok((description.fitting(), whole))
    }

    /// Returns the description without the parts for which a record is too short. The name goes before the path, and both
    /// go before what the recording contains.
    #[must_use]
    pub(crate) fn fitting(self) -> Self {
        let fits = |description: &Self| description.to_data().is_ok();
        if fits(&self) {
            return self;
        }
        let short = Self { recording: None, ..self };
        if fits(&short) { short } else { Self { path: None, ..short } }
    }

    /// Returns the text for `share/info/CID`.
    ///
    /// # Errors
    /// When the text is too long, because many characters of the name need escapes.
    pub fn to_data(&self) -> Result<Data, DataError> {
        Data::new(&serde_json::to_string(self).unwrap_or_default())
    }

    /// Reads the text in `share/info/CID`.
    ///
    /// # Errors
    /// When the text is not the JSON of a description, or the file name is not valid.
    pub fn from_data(data: &Data) -> Result<Self, InfoError> {
        let read: Self =
            serde_json::from_str(data.as_str()).map_err(|error| InfoError::Shape(error.to_string()))?;
        read.checked()
    }

    pub(crate) fn checked(self) -> Result<Self, InfoError> {
        match &self.path {
            _ if !is_file_name(&self.filename) => Err(InfoError::Name(self.filename)),
            Some(path) if path.filename() != self.filename => Err(InfoError::Path(path.to_string())),
            _ => Ok(self),
        }
    }
}

fn json(value: &(impl Serialize + ?Sized)) -> Result<String, InfoError> {
    serde_json::to_string(value).map_err(|error| InfoError::Shape(error.to_string()))
}

/// Returns whether a file can have this name beside its info file, on every system.
pub(crate) fn is_file_name(name: &str) -> bool {
    !matches!(name, "" | "." | ".." | INFO_NAME)
        && name.len() <= MAX_NAME_BYTES
        && !name.contains('/')
        && !name.chars().any(char::is_control)
}

#[cfg(test)]
mod tests {
    use super::*;
    use dcache::Keypair;
    use proptest::prelude::*;

    fn description(filename: &str) -> Description {
        let uploader = Keypair::from_seed([1; 32]).peer_id();
        let changed = Time(1_511_000_000);
        Description {
            filename: filename.to_owned(),
            path: None,
            size: 868_400,
            changed,
            uploader,
            recording: None,
        }
    }

    #[test]
    fn an_info_file_of_the_original_ipsd_is_read() {
        let uploader = description("").uploader;
        let yaml = format!(
            "{{ctime: 1511000000.25, filename: a b.bag, upload_node: {uploader}, size: 868400, x: [1]}}"
        );
        assert_eq!(Description::from_yaml(&yaml), Ok((description("a b.bag"), None)));
    }

    #[test]
    fn a_path_is_told_where_it_is_more_than_a_name_and_earlier_versions_ignore_it() {
        let mut described = description("a.bag");
        assert!(
            !described.to_yaml(None).unwrap().contains("path")
                && !described.to_data().unwrap().as_str().contains("path")
        );
        described.path = Some("run/a.bag".parse().unwrap());
        assert_eq!(Description::from_yaml(&described.to_yaml(None).unwrap()), Ok((described.clone(), None)));
        assert_eq!(Description::from_data(&described.to_data().unwrap()), Ok(described.clone()));
        #[derive(Deserialize)]
        struct Earlier {
            filename: String,
            size: u64,
        }
        let read: Earlier = serde_json::from_str(described.to_data().unwrap().as_str()).unwrap();
        assert_eq!((read.filename.as_str(), read.size), ("a.bag", 868_400));
    }

    #[test]
    fn a_description_with_a_hostile_path_is_refused() {
        let described = description("a.bag");
        for path in ["../a.bag", "/etc/a.bag", "run/b.bag", "a.bag", "run/.x/a.bag"] {
            let yaml = described.to_yaml(None).unwrap() + &format!("path: {path:?}\n");
            assert!(Description::from_yaml(&yaml).is_err(), "{path}");
            let json =
                described.to_data().unwrap().as_str().replacen('{', &format!("{{\"path\":{path:?},"), 1);
            assert!(Description::from_data(&Data::new(&json).unwrap()).is_err(), "{path}");
        }
    }

    #[test]
    fn unsafe_file_names_are_refused() {
        for name in ["", "..", "a/b", "a\nb", INFO_NAME, &"x".repeat(256)] {
            let yaml = description(name).to_yaml(None).unwrap();
            assert!(Description::from_yaml(&yaml).is_err(), "{name:?}");
            assert!(Description::from_data(&description(name).to_data().unwrap()).is_err(), "{name:?}");
        }
    }

    #[test]
    fn hostile_yaml_is_refused_cheaply() {
        let bomb = "a: &a [x,x,x,x,x,x,x,x]\nb: &b [*a,*a,*a,*a,*a,*a,*a]\nc: &c [*b,*b,*b,*b,*b,*b]\nfilename: *c\n";
        let deep = "[".repeat(2000);
        for text in [bomb, &deep, "", "\u{0}", "filename: [}"] {
            assert!(Description::from_yaml(text).is_err());
        }
    }

    proptest! {
        #[test]
        fn every_valid_name_is_unchanged_after_a_round_trip(name in "\\PC{1,80}") {
            prop_assume!(is_file_name(&name));
            let described = description(&name);
            prop_assert_eq!(Description::from_yaml(&described.to_yaml(None).unwrap()), Ok((described.clone(), None)));
            if let Ok(data) = described.to_data() {
                prop_assert_eq!(Description::from_data(&data), Ok(described));
            }
        }

        #[test]
        fn any_text_is_read_or_refused(text in "[\\PC\\n]{0,200}") {
            let _ = Description::from_yaml(&text);
        }
    }
}
