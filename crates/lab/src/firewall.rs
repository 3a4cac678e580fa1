//! Packet filters of a host, and of the switch of a network.

use crate::{Host, Network, Result, process};
use std::time::Duration;

const LIMIT: Duration = Duration::from_secs(20);

impl Host {
    /// Accepts only packets that match one of these rules (nftables, such as `udp dport 1240`), and packets on
    /// loopback. The rules replace former ones. Without any rule only loopback packets are accepted.
    ///
    /// # Errors
    /// When nftables refuses the rules.
    pub fn let_in_only(&self, rules: &[&str]) -> Result {
        let accepted: String = rules.iter().map(|rule| format!("  {rule} accept\n")).collect();
        self.firewall(&format!(
            " chain input {{\n  type filter hook input priority 0; policy drop;\n  iif lo accept\n{accepted} }}\n"
        ))
    }

    /// Drops packets that match one of these rules, and accepts all others. The rules replace former ones.
    ///
    /// # Errors
    /// When nftables refuses the rules.
    pub fn keep_out(&self, rules: &[&str]) -> Result {
        let dropped: String = rules.iter().map(|rule| format!("  {rule} drop\n")).collect();
        self.firewall(&format!(" chain input {{\n  type filter hook input priority 0;\n{dropped} }}\n"))
    }

    fn firewall(&self, chains: &str) -> Result {
        let table = "table inet lab_firewall";
        let script = format!("{table}\ndelete {table}\n{table} {{\n{chains}}}\n");
        let mut command = self.command("sh");
        command.args(["-c", "printf %s \"$0\" | nft -f -", &script]);
        self.run(command, LIMIT)?.success("nft").map(drop)
    }
}

impl Network {
    /// Drops frames between hosts that match one of these rules (nftables in the family `bridge`). The rules replace
    /// former ones. They apply to all networks of the lab that are bridges.
    ///
    /// # Errors
    /// When nftables refuses the rules.
    pub fn drop_frames(&self, rules: &[&str]) -> Result {
        let table = "table bridge lab_filter";
        let rules: String = rules.iter().map(|rule| format!("  {rule} drop\n")).collect();
        let chain = format!(" chain forward {{\n  type filter hook forward priority 0;\n{rules} }}\n");
        let script = format!("{table}\ndelete {table}\n{table} {{\n{chain}}}\n");
        let mut command = std::process::Command::new("ip");
        command.args(["netns", "exec", &self.switch, "sh", "-c", "printf %s \"$0\" | nft -f -", &script]);
        process::run(command, LIMIT)?.success("nft").map(drop)
    }
}
