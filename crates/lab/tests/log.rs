//! The description of a recording reaches other robots: in short before the bytes, and whole with the file.

mod files;

use files::wait_until_safe;
use lab::daemon::Robot;
use lab::{Lab, Result, or_skip};

#[test]
fn a_bag_is_described_on_another_robot_and_files_are_chosen_by_kind() -> Result {
    let Some(lab) = or_skip("descriptions of recordings", Lab::new("log")) else {
        return Ok(());
    };
    let a = Robot::start_on(lab.host("a")?, "")?;
    let b = Robot::start_on(lab.host("b")?, "")?;
    a.share("run.bag", &recordings::samples::bag::whole(2, "none"))?;
    a.share("notes.log", b"camera started\n")?;
    for name in ["run.bag", "notes.log"] {
        wait_until_safe(&[&a, &b], name, 2)?;
    }
    let bag = b.cli(&["log", "run.bag", "--json"])?;
    assert_eq!(bag["recording"]["kind"], "bag", "{bag}");
    assert_eq!(bag["uploader"]["hostname"], a.host().name(), "{bag}");
    let topics = bag["topics"].as_array().map(Vec::len);
    assert_eq!(topics.map(|number| number as u64), bag["recording"]["topics"].as_u64(), "{bag}");
    assert_ne!(topics, Some(0), "{bag}");
    let notes = b.cli_text(&["log", "notes.log"])?;
    assert!(notes.contains("camera started"), "{notes}");
    let chosen = b.cli(&["report", "--kind", "bag", "--since", "1d", "--json"])?;
    let names: Vec<_> = chosen["files"].as_array().into_iter().flatten().map(|file| &file["name"]).collect();
    assert_eq!(names, ["run.bag"], "{chosen}");
    assert_eq!(chosen["shared_files"], 2, "{chosen}");
    let none = b.cli(&["report", "--robot", b.host().name(), "--json"])?;
    assert_eq!(none["files"].as_array().map(Vec::len), Some(0), "{none}");
    Ok(())
}
