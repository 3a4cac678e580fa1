//! What is said about a file: in the `upload_info1.yaml` beside it, and in `share/info/CID`.

use dcache::{Data, DataError, PeerId, Time};
use serde::{Deserialize, Serialize};

/// The name of the info file beside the payload.
pub const INFO_NAME: &str = "upload_info1.yaml";
/// The most bytes of an info file.
pub(crate) const MAX_INFO_BYTES: u64 = 4096;
/// The most bytes of a file's name, as file systems have it.
const MAX_NAME_BYTES: usize = 255;

/// What a file is, as its uploader says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Description {
    /// Its name, without folders.
    pub filename: String,
    /// Its size in bytes.
    pub size: u64,
    /// When it was last changed.
    pub changed: Time,
    /// Who put it into the shared folder.
    pub uploader: PeerId,
}

/// Why a text describes no file.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InfoError {
    /// Not the YAML or JSON of a description.
    #[error("not a description of a file: {0}")]
    Shape(String),
    /// The name could do harm when a file is written under it.
    #[error("not a name for a file: {0:?}")]
    Name(String),
}

/// The info file's keys, named as in the original.
#[derive(Serialize, Deserialize)]
struct InfoFile {
    filename: String,
    size: u64,
    /// The original wrote fractions of a second; they say nothing that anybody needs.
    ctime: f64,
    upload_node: PeerId,
}

impl Description {
    /// The info file's text. The same description always gives the same bytes, so that a file has one CID.
    ///
    /// # Errors
    /// When the name cannot be written as YAML, which no name of a file is known for.
    pub fn to_yaml(&self) -> Result<String, InfoError> {
        let Self { filename, size, changed, uploader } = self;
        // A JSON text is a YAML scalar in double quotes, escapes and all (YAML 1.2, section 1.3).
        let filename =
            serde_json::to_string(filename).map_err(|error| InfoError::Shape(error.to_string()))?;
        Ok(format!("filename: {filename}\nsize: {size}\nctime: {changed}\nupload_node: {uploader}\n"))
    }

    /// Reads an info file. Keys that it has besides are ignored.
    ///
    /// # Errors
    /// When it is no such YAML, or names no possible file.
    pub fn from_yaml(text: &str) -> Result<Self, InfoError> {
        let file: InfoFile =
            serde_saphyr::from_str(text).map_err(|error| InfoError::Shape(error.to_string()))?;
        let changed = Time(file.ctime.clamp(0.0, 1e12) as u64);
        Self { filename: file.filename, size: file.size, changed, uploader: file.upload_node }.checked()
    }

    /// The text in `share/info/CID`.
    ///
    /// # Errors
    /// When a name full of characters that need escapes makes it too long.
    pub fn to_data(&self) -> Result<Data, DataError> {
        Data::new(&serde_json::to_string(self).unwrap_or_default())
    }

    /// Reads the text in `share/info/CID`.
    ///
    /// # Errors
    /// When it is no such JSON, or names no possible file.
    pub fn from_data(data: &Data) -> Result<Self, InfoError> {
        let read: Self =
            serde_json::from_str(data.as_str()).map_err(|error| InfoError::Shape(error.to_string()))?;
        read.checked()
    }

    fn checked(self) -> Result<Self, InfoError> {
        if is_file_name(&self.filename) { Ok(self) } else { Err(InfoError::Name(self.filename)) }
    }
}

/// Whether a file can have this name beside its info file, on every system.
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
        Description { filename: filename.to_owned(), size: 868_400, changed: Time(1_511_000_000), uploader }
    }

    #[test]
    fn reads_what_the_original_wrote() {
        let uploader = description("").uploader;
        let yaml = format!(
            "{{ctime: 1511000000.25, filename: a b.bag, upload_node: {uploader}, size: 868400, x: [1]}}"
        );
        assert_eq!(Description::from_yaml(&yaml), Ok(description("a b.bag")));
    }

    #[test]
    fn names_that_could_do_harm_are_refused() {
        for name in ["", "..", "a/b", "a\nb", INFO_NAME, &"x".repeat(256)] {
            let yaml = description(name).to_yaml().unwrap();
            assert!(Description::from_yaml(&yaml).is_err(), "{name:?}");
            assert!(Description::from_data(&description(name).to_data().unwrap()).is_err(), "{name:?}");
        }
    }

    #[test]
    fn hostile_yaml_costs_little() {
        let bomb = "a: &a [x,x,x,x,x,x,x,x]\nb: &b [*a,*a,*a,*a,*a,*a,*a]\nc: &c [*b,*b,*b,*b,*b,*b]\nfilename: *c\n";
        let deep = "[".repeat(2000);
        for text in [bomb, &deep, "", "\u{0}", "filename: [}"] {
            assert!(Description::from_yaml(text).is_err());
        }
    }

    proptest! {
        #[test]
        fn every_possible_name_reads_back(name in "\\PC{1,80}") {
            prop_assume!(is_file_name(&name));
            let described = description(&name);
            prop_assert_eq!(Description::from_yaml(&described.to_yaml().unwrap()), Ok(described.clone()));
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
