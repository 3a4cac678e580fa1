//! Target: the list of multipart uploads of a storage.

use uploads::listed_uploads;

/// Checks that the number of uploads is limited, and that each has an identifier.
pub fn check(bytes: &[u8]) {
    let Ok(found) = listed_uploads("logs/a", bytes) else { return };
    assert!(found.len() <= 200 && found.iter().all(|id| !id.is_empty()), "{found:?}");
}

/// Returns a list with entities and a list without uploads.
pub fn seeds() -> Vec<Vec<u8>> {
    let lists = [
        "<?xml version=\"1.0\"?><ListMultipartUploadsResult xmlns=\"x\"><Bucket>b</Bucket><Upload><Key>logs/a</Key>\
         <UploadId>1&amp;&#50;</UploadId></Upload><Upload><Key><![CDATA[logs/ab]]></Key></Upload>\
         </ListMultipartUploadsResult>",
        "<ListMultipartUploadsResult><IsTruncated>false</IsTruncated></ListMultipartUploadsResult>",
    ];
    lists.iter().map(|list| list.as_bytes().to_vec()).collect()
}
