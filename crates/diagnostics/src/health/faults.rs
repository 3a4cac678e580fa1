//! The sentences and remedies of the rules. A code never changes after its release; texts may change.
//!
//! The placeholders are `{label}`, the thing that was measured; `{value}`, its value; and `{limit}`, the limit.

telemetry::faults! {
    BATTERY_LOW = "battery.low":
        "the battery ({label}) has only {value} left";
        "charge it, and shut the robot down before it is empty";

    BOARD_THROTTLED = "board.throttled":
        "the processor is throttled, because it is too hot or its supply voltage is too low";
        "check the fan and the power supply; stop programs that use much processor time";

    BOARD_UNDER_VOLTAGE = "board.under-voltage":
        "the supply voltage of the board is too low: it may restart at any time, and damage its SD card";
        "charge the battery, or use a power supply and a cable for more current";

    BOARD_UNHEALTHY = "board.unhealthy":
        "dt-device-health gives a bad status for this board";
        "look at the page of health in the dashboard of the robot";

    CLOCK_UNCERTAIN = "clock.uncertain":
        "the time of day is not known, so other robots do not accept what this robot states";
        "connect the robot to a network with a time server, or to a robot whose clock is right";

    CPU_OVERLOADED = "cpu.overloaded":
        "{value} of the processors were asked for in the last five minutes, so programs wait";
        "stop programs that use much processor time";

    DISK_WORN = "disk.worn":
        "{value} of the expected life of the disk {label} are used up";
        "copy its data, and replace it soon";

    FILESYSTEM_FULL = "filesystem.full":
        "the file system of {label} is {value} full";
        "delete logs that are safe elsewhere, or images of containers that are not used";

    MEMORY_SCARCE = "memory.scarce":
        "{value} of the memory are used";
        "stop programs that use much memory";

    SWAP_FULL = "swap.full":
        "{value} of the swap space are used, so the robot is slow and programs may be killed";
        "stop programs that use much memory";

    TEMPERATURE_HIGH = "temperature.high":
        "{label} is {value} hot; the limit is {limit}";
        "check the fan, let the robot cool down, and stop programs that use much processor time";

    VALUE_MISSING = "value.missing":
        "there are no more values of {value} ({label})";
        "check that this part of the robot is connected and works";

    WIFI_WEAK = "wifi.weak":
        "the Wi-Fi signal of {label} is weak: {value}";
        "move the robot or the access point, or use another channel";
}
