//! Programs of other projects work in the lab, and have no connections outside it.

use std::fs;
use std::path::Path;
use std::time::Duration;

use lab::peers::{
    CidVersion, Kubo, javascript_available, javascript_cid, javascript_cid_in_folder, kubo_available,
};
use lab::{Error, Host, Lab, Result, or_skip};
use tempfile::TempDir;

const SOON: Duration = Duration::from_secs(60);

/// Returns five leaves of 256 KiB, the last one not full, the same in every run.
fn content() -> Vec<u8> {
    (0..1_200_000_u32)
        .flat_map(|number| number.wrapping_mul(2_654_435_761).to_le_bytes())
        .take(1_200_000)
        .collect()
}

fn write(path: &Path, content: &[u8]) -> Result {
    fs::write(path, content).map_err(|source| Error::Io { what: path.display().to_string(), source })
}

fn read(path: &Path) -> Result<Vec<u8>> {
    fs::read(path).map_err(|source| Error::Io { what: path.display().to_string(), source })
}

fn folder() -> Result<TempDir> {
    tempfile::tempdir().map_err(|source| Error::Io { what: "a temporary folder".into(), source })
}

/// Gives the host a default route over `gateway`, and counts the packets that it sends outside the lab.
fn watch_for_strangers(host: &Host, gateway: &Host) -> Result {
    let rules = format!(
        "ip route add default via {}
        nft 'add table ip watch; \
             add chain ip watch out {{ type filter hook output priority 0; }}; \
             add rule ip watch out ip daddr != {{ 10.77.0.0/24, 127.0.0.0/8 }} counter drop'",
        gateway.address()
    );
    shell(host, &rules).map(drop)
}

fn shell(host: &Host, script: &str) -> Result<String> {
    let mut command = host.command("sh");
    command.args(["-e", "-c", script]);
    host.run(command, SOON)?.success(script)
}

#[test]
fn two_kubos_on_two_hosts_exchange_a_file_and_contact_no_other_host() -> Result {
    let Some(()) = or_skip("Kubo", kubo_available()) else {
        return Ok(());
    };
    let Some(lab) = or_skip("Kubo", Lab::new("kubo")) else {
        return Ok(());
    };
    let (a, b) = (lab.host("a")?, lab.host("b")?);
    watch_for_strangers(&a, &b)?;
    let (mut at_a, mut at_b) = (Kubo::on_host(&a)?, Kubo::on_host(&b)?);
    let (original, copy) = (a.folder().join("original"), b.folder().join("copy"));
    write(&original, &content())?;
    let cid = at_a.add(&original)?;
    at_b.connect(at_a.address())?;
    at_b.get(&cid, &copy, SOON)?;
    assert!(read(&copy)? == content());
    let sent = a.traffic()?.sent;
    assert!(sent > 1_200_000, "only {sent} bytes went over the network");
    let counted = shell(&a, "nft list table ip watch")?;
    assert!(counted.contains("counter packets 0 bytes 0 drop"), "{counted}");
    // The counter itself works: packets of another program are counted.
    shell(&a, "echo x | timeout 5 bash -c 'cat > /dev/udp/198.51.100.1/9' || true")?;
    let counted = shell(&a, "nft list table ip watch")?;
    assert!(counted.contains("counter packets 1 "), "{counted}");
    println!("Kubo: {} MB resident", at_a.process().resident_bytes()? / 1_000_000);
    Ok(())
}

#[test]
fn kubo_on_loopback_gives_up_in_time_on_a_missing_block() -> Result {
    let Some(()) = or_skip("Kubo on loopback", kubo_available()) else {
        return Ok(());
    };
    let folder = folder()?;
    let mut kubo = Kubo::on_loopback(folder.path())?;
    assert!(kubo.address().starts_with("/ip4/127.0.0.1/tcp/") && kubo.address().ends_with(kubo.peer_id()));
    // A valid CID of random bytes, whose block is in no repository.
    let missing = "QmRSiVKfu9eGPQcCyYyze2TeebvyS8T1nLfRb5mqxr7nzN";
    let error = kubo.get(missing, &folder.path().join("out"), Duration::from_millis(500));
    assert!(
        matches!(&error, Err(Error::Answer { answer, .. }) if answer.contains("TimeoutError")),
        "{error:?}"
    );
    let file = folder.path().join("two words");
    write(&file, b"still there\n")?;
    assert_eq!(kubo.add(&file)?, "QmQzwv1s4Rxnt6zaqdUrfcpDimfgh5sqbXo5W4BRV889vC");
    assert!(kubo.add(&folder.path().join("no such file")).is_err());
    Ok(())
}

#[test]
fn two_reference_implementations_agree_on_cids() -> Result {
    let Some(()) = or_skip("the JavaScript importer", javascript_available()) else {
        return Ok(());
    };
    let folder = folder()?;
    let (small, large) = (folder.path().join("small"), folder.path().join("large"));
    write(&small, b"")?;
    write(&large, &content())?;
    // The CIDs of the empty file are well known.
    assert_eq!(javascript_cid(&small, CidVersion::V0)?, "QmbFMke1KXqnYyBBWxB74N4c5SBnJMVAiMNRcGu6x1AwQH");
    let raw = "bafkreihdwdcefgh4dqkjv67uzcmw7ojee6xedzdetojuzjevtenxquvyku";
    assert_eq!(javascript_cid(&small, CidVersion::V1)?, raw);
    let directory = javascript_cid_in_folder(&small, CidVersion::V1, "small")?;
    assert!(directory.starts_with("bafybei") && directory.len() == raw.len(), "{directory}");
    let Some(()) = or_skip("Kubo against JavaScript", kubo_available()) else {
        return Ok(());
    };
    let mut kubo = Kubo::on_loopback(folder.path())?;
    for file in [&small, &large] {
        assert_eq!(kubo.add(file)?, javascript_cid(file, CidVersion::V0)?);
    }
    Ok(())
}
