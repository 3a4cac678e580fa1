//! A collector gets the history of a robot that it never meets: a laptop carries it, and cannot read it.

mod school;

use lab::daemon::Robot;
use lab::{Error, Lab, Result, or_skip};
use school::{SOON, School, has_text, show, wait_for};
use serde_json::Value;
use std::collections::BTreeSet;
use std::fs;
use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::process::Stdio;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread;
use std::time::Duration;

/// Time after which a robot has sealed its first rows: a minute of samples, the wait of a row, and the pause after the start.
const SEALED: Duration = Duration::from_secs(400);
/// A name that appears in the rows of the robot, and nowhere else.
const MARK: &str = "lamp_of_room_4711";

/// The database to which the collector sends rows. It is started late.
const EXPORT: &str =
    "[diagnostics.export.main]\nurl = \"http://127.0.0.1:9090/api/v1/write\"\nformat = \"remote_write\"";

/// Returns the times of the points of a metric that the collector has of a robot.
fn collected(school: &School, metric: &str) -> Result<Vec<String>> {
    let peer = school.robot.peer_id()?;
    let command = school
        .collector
        .cli_command_to(&peer, &["metrics", metric, "--collected", "--since", "1d", "--json"]);
    let text = school.collector.host().run(command, SOON)?.success("metrics --collected")?;
    let history: Value = serde_json::from_str(&text).unwrap_or_default();
    let points = history["series"][0]["points"].as_array().cloned().unwrap_or_default();
    Ok(points.iter().filter_map(|point| point["time"].as_str().map(str::to_owned)).collect())
}

/// Pushes a value with a name that is easy to find.
fn push_mark(robot: &Robot) -> Result {
    let file = robot.host().folder().join("pushed");
    let io = |source| Error::Io { what: "pushed".to_owned(), source };
    fs::write(&file, format!("{MARK} 1\n")).map_err(io)?;
    let mut push = robot.cli_command(&["metrics", "--push", "lamp"]);
    let output = push.stdin(Stdio::from(fs::File::open(&file).map_err(io)?)).output().map_err(io)?;
    assert!(output.status.success(), "{output:?}");
    Ok(())
}

/// Takes requests on a port of the collector, and sends their heads.
fn start_database(school: &School) -> Result<Receiver<String>> {
    let io = |source| Error::Io { what: "the port of the database".to_owned(), source };
    let listener = school.collector.host().within(|| TcpListener::bind("127.0.0.1:9090"))?.map_err(io)?;
    let (heads, received) = channel();
    thread::spawn(move || {
        for stream in listener.incoming() {
            // The collector sees a request that fails, and repeats it.
            if stream.and_then(|stream| answer(stream, &heads)).is_err() {
                return;
            }
        }
    });
    Ok(received)
}

/// Reads one request, and answers it.
fn answer(mut stream: TcpStream, heads: &Sender<String>) -> std::io::Result<()> {
    let (mut request, mut byte) = (Vec::new(), [0]);
    while !request.ends_with(b"\r\n\r\n") {
        stream.read_exact(&mut byte)?;
        request.extend(byte);
    }
    let head = String::from_utf8_lossy(&request).into_owned();
    let length =
        head.lines().find_map(|line| line.to_lowercase().strip_prefix("content-length: ")?.parse().ok());
    let mut body = vec![0; length.unwrap_or_default()];
    stream.read_exact(&mut body)?;
    stream.write_all(b"HTTP/1.1 204 No Content\r\n\r\n")?;
    heads.send(head).map_err(std::io::Error::other)
}

#[test]
fn a_laptop_carries_the_history_of_a_robot_to_a_collector_and_cannot_read_it() -> Result {
    let Some(lab) = or_skip("carrying a history", Lab::new("collect")) else { return Ok(()) };
    let mut school = School::new(lab, EXPORT)?;
    school.class.disconnect()?;
    school.office.disconnect()?;

    // The robot is alone, and loses its power before and after it has sealed its first rows.
    push_mark(&school.robot)?;
    let sealed = wait_for(&school.robot, SEALED, "/own/batches", |batches| batches > 0)?;
    println!("the robot has sealed: {}", sealed["own"]);
    school.robot.kill9()?;
    school.robot.restart()?;
    push_mark(&school.robot)?;
    wait_for(&school.robot, SOON, "/own/batches", |batches| batches > 0)?;

    // The laptop visits the class, and loses its power on the way.
    school.class.reconnect()?;
    let carried = wait_for(&school.laptop, SOON, "/carried/batches", |batches| batches > 0)?;
    println!("the laptop carries: {}", carried["carried"]);
    school.class.disconnect()?;
    school.laptop.kill9()?;
    assert!(has_text(&school.robot.data_folder(), MARK), "the mark is in the history of the robot");
    assert!(!has_text(&school.laptop.data_folder(), MARK), "the laptop can read what it carries");
    school.laptop.restart()?;

    // The laptop is in the office.
    school.office.reconnect()?;
    let stored = wait_for(&school.collector, SOON, "/collected/rows", |rows| rows > 0)?;
    println!("the collector has: {}", stored["collected"]);
    wait_for(&school.laptop, SOON, "/carried/batches", |batches| batches == 0)?;
    school.office.disconnect()?;
    school.collector.kill9()?;
    school.collector.restart()?;

    // The next visit brings the receipt.
    school.class.reconnect()?;
    let done = wait_for(&school.robot, SOON, "/own/stored", |stored| stored > 0)?;
    println!("the robot knows: {}", done["own"]);
    println!("{}", school.robot.cli_text(&["collectors", "show"])?);
    school.office.reconnect()?;
    let rows = stored["collected"]["rows"].as_u64().unwrap_or_default();
    let times = collected(&school, "system.uptime")?;
    let distinct: BTreeSet<&String> = times.iter().collect();
    assert!(times.len() as u64 >= rows && distinct.len() == times.len(), "{rows} rows: {times:?}");
    assert!(has_text(&school.collector.data_folder(), MARK), "the collector has the rows");

    // The database of the collector was not there. It gets all rows now.
    let shown = show(&school.collector)?;
    assert_eq!(shown["collected"]["waiting"]["main"], shown["collected"]["rows"], "no row was sent");
    let requests = start_database(&school)?;
    wait_for(&school.collector, SOON, "/collected/waiting/main", |waiting| waiting == 0)?;
    let head = requests.recv_timeout(SOON).unwrap_or_default();
    assert!(
        head.starts_with("POST /api/v1/write HTTP/1.1") && head.contains("content-encoding: snappy"),
        "{head}"
    );

    // The robot loses its power again, and the laptop joins both networks now: more rows, and each of them once.
    school.robot.kill9()?;
    school.robot.restart()?;
    let more = wait_for(&school.collector, SEALED, "/collected/rows", |number| number > rows)?;
    println!("later the collector has: {}", more["collected"]);
    let times = collected(&school, "system.uptime")?;
    let distinct: BTreeSet<&String> = times.iter().collect();
    assert!(times.len() as u64 > rows && distinct.len() == times.len(), "{times:?}");
    Ok(())
}
