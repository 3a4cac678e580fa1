//! Target: the description of a file, in the YAML of an info file and in the JSON of its bucket.

use crate::samples::peer;
use dcache::{Data, Time};
use logs::{Description, Whole};

/// Maximum time for which the YAML is checked. A larger `ctime` of an info file, a floating-point number, is clamped to
/// it.
const MAX_YAML_TIME: Time = Time(1_000_000_000_000);

/// Returns the seed inputs, from which the fuzzer starts.
pub fn seeds() -> Vec<Vec<u8>> {
    vec![
        description().to_yaml(None).unwrap_or_default().into(),
        description().to_yaml(whole().as_ref()).unwrap_or_default().into(),
        description().to_data().unwrap_or_default().as_str().into(),
        format!("{{ctime: 1.5e9, filename: a b.bag, upload_node: {}, size: 8, x: [1]}}", peer()).into(),
        b"a: &a [x, x]\nb: !!str |\n  text\nfilename: *a\n".to_vec(),
    ]
}

/// Checks that a description is the same after writing and reading in both forms, and that its file name is plain.
pub fn check(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    if let Ok((read, whole)) = Description::from_yaml(text) {
        check_yaml(&read, whole.as_ref());
        check_one(&read);
    }
    if let Ok(data) = Data::new(text)
        && let Ok(read) = Description::from_data(&data)
    {
        check_yaml(&Description { recording: None, ..read.clone() }, None);
        check_one(&read);
    }
}

fn check_yaml(read: &Description, whole: Option<&Whole>) {
    if read.changed <= MAX_YAML_TIME {
        let yaml = read.to_yaml(whole).unwrap_or_default();
        assert_eq!(Description::from_yaml(&yaml), Ok((read.clone(), whole.cloned())), "{yaml}");
    }
}

fn check_one(read: &Description) {
    if let Ok(data) = read.to_data() {
        assert_eq!(Description::from_data(&data).as_ref(), Ok(read), "{data}");
    }
    assert!(!read.filename.is_empty() && !read.filename.contains('/'));
}

fn whole() -> Option<Whole> {
    let bag = recordings::samples::bag::whole(2, "none");
    recordings::describe("a.bag", &mut &bag[..]).ok().map(Whole::new)
}

fn description() -> Description {
    let filename = "a \"b\" é.bag".to_owned();
    Description {
        filename,
        path: None,
        size: 868_400,
        changed: Time(1_511_000_000),
        uploader: peer(),
        recording: None,
    }
}
