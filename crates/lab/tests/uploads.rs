//! Uploads by real daemons: into a folder, and into a real S3-compatible storage; with a mule between two networks; without
//! the permission of the robot; and with a daemon that is killed.

mod files;

use files::{SOON, read, sample};
use lab::daemon::Robot;
use lab::peers::{
    NetworkManager, Seaweedfs, SeaweedfsOptions, network_manager_available, seaweedfs_available,
};
use lab::{Error, Host, Lab, Result, or_skip, wait_until};
use serde_json::Value;
use sha2::{Digest as _, Sha256};
use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// Time limit of steps of several robots on a busy machine. The aim is ten seconds.
const LATER: Duration = Duration::from_secs(180);
/// Longest time until the permission file is read again, and until the uploads are decided anew.
const AFTER_PERMISSION: Duration = Duration::from_secs(150);
/// Number of files of a robot that makes single records about at most 256 of them.
const MANY: usize = 300;
/// Time limit of their uploads.
const MANY_UPLOADED: Duration = Duration::from_secs(600);

fn write(path: &Path, text: &str) -> Result {
    fs::write(path, text).map_err(|source| Error::Io { what: path.display().to_string(), source })
}

fn make_folder(path: &Path) -> Result {
    fs::create_dir_all(path).map_err(|source| Error::Io { what: path.display().to_string(), source })
}

/// Puts the robots into the swarm of a new file. The first robot becomes admin, and gives the others that are named the role
/// trusted.
fn found(first: &Robot, trusted: &[&Robot], others: &[&Robot]) -> Result {
    let file = first.host().folder().join("class.toml");
    let file = file.to_string_lossy().into_owned();
    first.cli(&["swarm", "init", &file, "--name", "class", "--json"])?;
    for robot in [first].iter().chain(trusted).chain(others) {
        robot.cli(&["swarm", "join", &file, "--json"])?;
    }
    first.cli(&["grant", "admin", &first.peer_id()?, "--key", "class-root", "--json"])?;
    for robot in trusted {
        first.cli(&["grant", "trusted", &robot.peer_id()?, "--json"])?;
    }
    Ok(())
}

/// Returns the entry of a file in the report of a robot.
fn entry(robot: &Robot, name: &str) -> Option<Value> {
    let report = robot.cli(&["report", "--json"]).ok()?;
    report["files"].as_array()?.iter().find(|file| file["name"] == name).cloned()
}

/// Waits until a robot shows that a file is uploaded, and returns its entry.
fn wait_until_uploaded(robot: &Robot, name: &str, within: Duration) -> Result<Value> {
    let begun = Instant::now();
    let uploaded = || entry(robot, name).filter(|file| file["state"] == "uploaded");
    let file = wait_until(within, &format!("{name} uploaded on {}", robot.host().name()), uploaded)?;
    println!("{} shows {name} uploaded after {:.1} s", robot.host().name(), begun.elapsed().as_secs_f64());
    Ok(file)
}

/// Returns the reason why a file waits for its upload on a robot.
fn reason(robot: &Robot, name: &str) -> Option<String> {
    let list = robot.cli(&["uploads", "--json"]).ok()?;
    let row = list["uploads"].as_array()?.iter().find(|row| row["name"] == name)?.clone();
    row["reason"].as_str().map(str::to_owned)
}

fn digest(content: &[u8]) -> String {
    Sha256::digest(content).iter().map(|byte| format!("{byte:02x}")).collect()
}

fn unexpected(what: &str, answer: &Value) -> Error {
    Error::Answer { what: what.to_owned(), answer: answer.to_string() }
}

/// Returns the CID in an entry of the report.
fn cid(entry: &Value) -> Result<String> {
    entry["cid"].as_str().map(str::to_owned).ok_or_else(|| unexpected("a CID", entry))
}

#[test]
fn a_file_is_uploaded_into_a_folder_and_fetched_from_there() -> Result {
    let Some(lab) = or_skip("uploads into a folder", Lab::new("folderup")) else { return Ok(()) };
    let server = lab.host("server")?;
    let storage = server.folder().join("storage");
    make_folder(&storage)?;
    let configuration =
        format!("[logs]\nkeep_others = false\n[uploads]\ndestination = \"file://{}\"\n", storage.display());
    let server = Robot::start_on(server, &configuration)?;
    let robot = Robot::start_on(lab.host("robot")?, "[uploads]\nallow = true\n")?;
    found(&server, &[], &[&robot])?;
    let content = sample()?;
    robot.share("drive.bag", &content)?;
    wait_until_uploaded(&server, "drive.bag", SOON)?;
    let shown = wait_until_uploaded(&robot, "drive.bag", SOON)?;
    println!("{}", robot.cli_text(&["report"])?);
    println!("{}", server.cli_text(&["uploads"])?);
    let (cid, upload) = (cid(&shown)?, &shown["uploads"][0]);
    let object = storage.join("logs").join(&cid);
    assert_eq!(upload["place"], format!("file://{}", object.display()));
    assert_eq!(upload["signers"][0]["peer"], server.peer_id()?.as_str());
    assert!(read(&object)? == content);
    let metadata: Value = serde_json::from_slice(&read(&object.with_file_name(format!("{cid}.json")))?)
        .map_err(|error| Error::Answer { what: error.to_string(), answer: String::new() })?;
    assert_eq!(
        (&metadata["sha256"], &metadata["path"]),
        (&digest(&content).into(), &"robot/drive.bag".into())
    );
    let names = names_in(&storage.join("logs"))?;
    assert_eq!(names, [cid.clone(), format!("{cid}.json")], "nothing unfinished is left");

    // The server kept the file only for the upload.
    let released = || {
        let holders = entry(&server, "drive.bag")?["holders"].as_array()?.clone();
        let me = server.peer_id().ok()?;
        let is_free = server.cli(&["carry", "status", "--json"]).ok()?["count"] == 0;
        (is_free && holders.iter().all(|holder| holder["peer"] != me.as_str())).then_some(())
    };
    wait_until(LATER, "the end of the copy on the server", released)?;

    // The robot is gone, and the file comes from the folder.
    let fetched = server.host().folder().join("fetched.bag");
    let fetched = fetched.to_string_lossy().into_owned();
    server.cli_text(&["get", "drive.bag", "--from", "uploads", "-o", &fetched])?;
    assert!(read(Path::new(&fetched))? == content);
    let refused = robot.cli_failure(&["get", "drive.bag", "--from", "uploads"])?;
    assert!(refused.contains("no `destination`"), "{refused}");

    // A damaged object is noticed, and not written.
    let mut damaged = content.clone();
    damaged[0] ^= 1;
    fs::write(&object, damaged).map_err(|source| Error::Io { what: "damaging".to_owned(), source })?;
    let refused =
        server.cli_failure(&["get", "drive.bag", "--from", "uploads", "-o", &fetched, "--force"])?;
    assert!(refused.contains("another content"), "{refused}");
    assert!(read(Path::new(&fetched))? == content, "the earlier file is still there");
    Ok(())
}

#[test]
fn files_that_only_a_catalogue_lists_are_uploaded() -> Result {
    let Some(lab) = or_skip("uploads of a catalogue", Lab::new("catalogup")) else { return Ok(()) };
    let server = lab.host("server")?;
    let storage = server.folder().join("storage");
    make_folder(&storage)?;
    let configuration =
        format!("[logs]\nkeep_others = false\n[uploads]\ndestination = \"file://{}\"\n", storage.display());
    let server = Robot::start_on(server, &configuration)?;
    let robot = Robot::start_on(lab.host("robot")?, "[uploads]\nallow = true\n")?;
    found(&server, &[], &[&robot])?;
    for number in 0..MANY {
        let name = format!("run{number:03}.log");
        robot.share(&name, format!("the log {name}\n").as_bytes())?;
    }
    let begun = Instant::now();
    for robot in [&robot, &server] {
        let uploaded = || {
            let report = robot.cli(&["report", "--state", "uploaded", "--limit", "1", "--json"]).ok()?;
            (report["chosen_files"].as_u64()? == MANY as u64).then_some(())
        };
        wait_until(MANY_UPLOADED, &format!("all files uploaded on {}", robot.host().name()), uploaded)?;
        println!("{} shows all uploaded after {:.1} s", robot.host().name(), begun.elapsed().as_secs_f64());
    }
    // Each object has its metadata beside it.
    assert_eq!(names_in(&storage.join("logs"))?.len(), 2 * MANY);
    Ok(())
}

fn names_in(folder: &Path) -> Result<Vec<String>> {
    let listed = |source| Error::Io { what: folder.display().to_string(), source };
    let mut names = Vec::new();
    for entry in fs::read_dir(folder).map_err(listed)? {
        names.push(entry.map_err(listed)?.file_name().to_string_lossy().into_owned());
    }
    names.sort();
    Ok(names)
}

#[test]
fn without_permission_nothing_is_uploaded_and_the_permission_file_decides() -> Result {
    let Some(lab) = or_skip("uploads without permission", Lab::new("permit")) else { return Ok(()) };
    let (server, host) = (lab.host("server")?, lab.host("robot")?);
    let (storage, permission) = (server.folder().join("storage"), host.folder().join("allow_push_logs_data"));
    make_folder(&storage)?;
    write(&permission, "0")?;
    let server =
        Robot::start_on(server, &format!("[uploads]\ndestination = \"file://{}\"\n", storage.display()))?;
    let configuration = format!("[uploads]\nallow = true\npermission_file = {permission:?}\n");
    let robot = Robot::start_on(host, &configuration)?;
    found(&server, &[], &[&robot])?;
    robot.share("secret.bag", b"not for others")?;
    let is_refused = || reason(&server, "secret.bag").filter(|reason| reason.contains("not permitted"));
    println!("{}", wait_until(SOON, "the reason on the server", is_refused)?);
    let list = robot.cli(&["uploads", "--json"])?;
    assert_eq!(
        (&list["is_allowed"], &list["permission_path"]),
        (&false.into(), &permission.display().to_string().into())
    );
    // The server has the file, and several decisions later it still uploads nothing.
    wait_until(LATER, "the copy on the server", || {
        let holders = entry(&server, "secret.bag")?["holders"].as_array()?.clone();
        let me = server.peer_id().ok()?;
        holders.iter().any(|holder| holder["peer"] == me.as_str()).then_some(())
    })?;
    std::thread::sleep(Duration::from_secs(10));
    assert_eq!(names_in(&storage)?, Vec::<String>::new());
    write(&permission, "1\n")?;
    wait_until_uploaded(&robot, "secret.bag", AFTER_PERMISSION)?;
    assert_eq!(names_in(&storage.join("logs"))?.len(), 2);
    Ok(())
}

/// A storage on a host, with the bucket `logs`.
struct Storage {
    host: Host,
    server: Seaweedfs,
    credentials: PathBuf,
}

impl Storage {
    fn start(host: &Host) -> Result<Self> {
        let folder = host.folder().join("seaweedfs");
        make_folder(&folder)?;
        let server = host.within(|| Seaweedfs::start(&folder, &SeaweedfsOptions::default()))??;
        host.within(|| server.create_bucket("logs"))??;
        Ok(Self { host: host.clone(), credentials: server.credentials_file()?, server })
    }

    /// Returns the section of the configuration of a robot that uploads to this storage.
    fn section(&self) -> String {
        format!(
            "[uploads]\ndestination = \"s3://logs/swarm\"\nendpoint = {:?}\ncredentials_file = {:?}\npart_mib = 5\n",
            self.server.endpoint(),
            self.credentials
        )
    }

    /// Checks that the bucket has exactly one object with this content, and no unfinished upload.
    fn check(&self, cid: &str, content: &[u8]) -> Result {
        let list = self.host.within(|| self.server.list("logs"))??;
        assert_eq!((list.objects, list.uploads), (vec![format!("swarm/logs/{cid}")], Vec::new()));
        let to = self.host.folder().join("object");
        let path = format!("/logs/swarm/logs/{cid}");
        let headers = self.host.within(|| self.server.fetch(&path, &to))??.to_lowercase();
        let stored = read(&to)?;
        println!("{} bytes in the storage, SHA-256 {}", stored.len(), digest(&stored));
        assert!(stored == content, "another content is in the storage");
        assert!(headers.contains(&format!("x-amz-meta-sha256: {}", digest(content))), "{headers}");
        Ok(())
    }
}

#[test]
fn a_laptop_carries_the_log_of_a_robot_without_internet_to_the_storage() -> Result {
    let Some(()) = or_skip("a mule", seaweedfs_available()) else { return Ok(()) };
    let Some(lab) = or_skip("a mule", Lab::new("mule")) else { return Ok(()) };
    let office = lab.network("office")?;
    let mut server = lab.lone_host("server")?;
    server.attach(&office)?;
    let storage = Storage::start(&server)?;
    let server = Robot::start_on(server, &format!("[logs]\nkeep_others = false\n{}", storage.section()))?;
    let mut laptop = lab.host("laptop")?;
    let (room_link, office_link) = (laptop.links()[0].clone(), laptop.attach(&office)?);
    let carrying = "[logs]\nkeep_others = false\n[uploads]\ncarry = true\ncarry_max_mib = 64\n";
    let laptop = Robot::start_on(laptop, carrying)?;
    let robot = Robot::start_on(lab.host("robot")?, "[uploads]\nallow = true\n")?;
    found(&laptop, &[&server], &[&robot])?;
    // The server has heard of the laptop and its own role before the laptop leaves.
    wait_until(LATER, "the role on the server", || {
        server.cli(&["uploads", "--json"]).ok().filter(|list| list["reason"].is_null())
    })?;
    office_link.disconnect()?;
    let content = sample()?.repeat(8);
    robot.share("drive.bag", &content)?;
    println!("{} bytes", content.len());

    let on_board = || {
        let status = laptop.cli(&["carry", "status", "--json"]).ok()?;
        (status["files"][0]["is_here"] == true).then_some(status)
    };
    let status = wait_until(LATER, "the log on board of the laptop", on_board)?;
    println!("{}", laptop.cli_text(&["carry", "status"])?);
    assert_eq!(status["files"][0]["uploader"]["peer"], robot.peer_id()?.as_str());
    let log = entry(&robot, "drive.bag").ok_or_else(|| unexpected("the log", &status))?;
    let cid = cid(&log)?;
    // The statement of the laptop that it keeps the log leads the server to it.
    wait_until(LATER, "the statement of the laptop", || {
        let holders = entry(&laptop, "drive.bag")?["holders"].as_array()?.clone();
        holders.iter().any(|holder| holder["hostname"] == "laptop").then_some(())
    })?;
    println!("the laptop leaves the robot");
    room_link.disconnect()?;
    office_link.reconnect()?;
    wait_until_uploaded(&server, "drive.bag", LATER)?;
    storage.check(&cid, &content)?;
    wait_until_uploaded(&laptop, "drive.bag", SOON)?;
    wait_until(LATER, "the log off board", || {
        (laptop.cli(&["carry", "status", "--json"]).ok()?["count"] == 0).then_some(())
    })?;
    assert_ne!(entry(&robot, "drive.bag").unwrap_or_default()["state"], "uploaded");
    println!("the laptop visits the robot again");
    office_link.disconnect()?;
    room_link.reconnect()?;
    let shown = wait_until_uploaded(&robot, "drive.bag", SOON)?;
    let place = format!("s3://logs/swarm/logs/{cid} at {}", storage.server.endpoint());
    assert_eq!(shown["uploads"][0]["place"], place);
    Ok(())
}

#[test]
fn a_connection_that_is_charged_by_volume_is_not_used() -> Result {
    let Some(()) = or_skip("metered uploads", seaweedfs_available()) else { return Ok(()) };
    let Some(()) = or_skip("metered uploads", network_manager_available()) else { return Ok(()) };
    let Some(lab) = or_skip("metered uploads", Lab::new("metered")) else { return Ok(()) };
    let host = lab.host("robot")?;
    let storage = Storage::start(&host)?;
    let manager = NetworkManager::start(&host)?;
    manager.set_metered(true)?;
    let section = format!("{}allow = true\n", storage.section());
    let bus = format!("export DBUS_SYSTEM_BUS_ADDRESS='{}'\nexec \"$@\"", manager.bus_address());
    let mut robot = Robot::new(host, &section)?.started_by(&bus)?;
    robot.restart()?;
    found(&robot, &[], &[])?;
    let content = sample()?;
    robot.share("drive.bag", &content)?;
    let obstacle = || {
        let list = robot.cli(&["uploads", "--json"]).ok()?;
        let reason = list["reason"].as_str()?.to_owned();
        reason.contains("NetworkManager says").then_some(reason)
    };
    println!("{}", wait_until(SOON, "NetworkManager's word", obstacle)?);
    let objects = storage.host.within(|| storage.server.list("logs"))??.objects;
    assert_eq!(objects, Vec::<String>::new());
    manager.set_metered(false)?;
    let shown = wait_until_uploaded(&robot, "drive.bag", AFTER_PERMISSION)?;
    storage.check(&cid(&shown)?, &content)
}

#[test]
fn an_upload_by_a_daemon_that_is_killed_again_and_again_ends_with_one_whole_object() -> Result {
    const KILLS: u64 = 6;
    let Some(()) = or_skip("killed uploads", seaweedfs_available()) else { return Ok(()) };
    let Some(lab) = or_skip("killed uploads", Lab::new("killup")) else { return Ok(()) };
    let host = lab.host("server")?;
    let storage = Storage::start(&host)?;
    let section = format!("{}max_rate = \"4MB\"\nallow = true\n", storage.section());
    let mut server = Robot::start_on(host, &section)?;
    found(&server, &[], &[])?;
    let content = sample()?.repeat(40);
    server.share("long.bag", &content)?;
    println!("{} bytes", content.len());
    let begun = || {
        let list = server.cli(&["uploads", "--json"]).ok()?;
        (list["uploads"][0]["state"] == "uploading").then_some(())
    };
    wait_until(LATER, "the begin of the upload", begun)?;
    for kill in 0..KILLS {
        // Moments that differ from run to run would not be repeatable.
        std::thread::sleep(Duration::from_millis(700 + (kill * 977) % 2300));
        let list = server.cli(&["uploads", "--json"])?;
        println!("killed at {}", list["uploads"][0]);
        server.kill9()?;
        server.restart()?;
    }
    let shown = wait_until_uploaded(&server, "long.bag", LATER)?;
    storage.check(&cid(&shown)?, &content)
}
