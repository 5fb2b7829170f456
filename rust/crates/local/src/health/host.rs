//! What the host has, and has left.

use serde_json::{Map, Value, json};

/// Figures of the host; what it does not tell is absent.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct HostCapacity {
    /// Processors online.
    pub(crate) cpu_count: u32,
    /// All memory, bytes.
    pub(crate) memory_total_bytes: Option<u64>,
    /// Memory that can be had without swapping, bytes.
    pub(crate) memory_available_bytes: Option<u64>,
    /// Mean number of runnable processes over 1, 5 and 15 minutes.
    pub(crate) load_average: Option<[f64; 3]>,
}

impl HostCapacity {
    /// As `/proc` tells now.
    pub(crate) fn read(cpu_count: u32) -> Self {
        let read = |path| std::fs::read_to_string(path).unwrap_or_default();
        Self::parse(cpu_count, &read("/proc/meminfo"), &read("/proc/loadavg"))
    }

    fn parse(cpu_count: u32, meminfo: &str, loadavg: &str) -> Self {
        let kibibytes = |name: &str| -> Option<u64> {
            let rest = meminfo.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'))?;
            let number: u64 = rest.trim().strip_suffix("kB")?.trim().parse().ok()?;
            number.checked_mul(1_024)
        };
        let loads: Vec<f64> =
            loadavg.split_whitespace().take(3).filter_map(|word| word.parse().ok()).collect();
        Self {
            cpu_count,
            memory_total_bytes: kibibytes("MemTotal"),
            memory_available_bytes: kibibytes("MemAvailable"),
            load_average: loads.try_into().ok(),
        }
    }

    /// As the object `host` of a health report; `room_for_sandboxes` is how many more sandboxes could fill that much memory each (limits
    /// may be overcommitted, so more can be made).
    pub(crate) fn document(&self, sandbox_bytes: u64) -> Map<String, Value> {
        let mut object = Map::new();
        object.insert("cpu_count".to_owned(), json!(self.cpu_count));
        object.insert("memory_total_bytes".to_owned(), json!(self.memory_total_bytes));
        object.insert("memory_available_bytes".to_owned(), json!(self.memory_available_bytes));
        let room = self.memory_available_bytes.and_then(|available| available.checked_div(sandbox_bytes));
        object.insert("room_for_sandboxes".to_owned(), json!(room));
        object.insert("load_average".to_owned(), json!(self.load_average));
        object
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_are_read_from_the_kernels_format() {
        let meminfo =
            "MemTotal:       24684372 kB\nMemFree:        20000000 kB\nMemAvailable:   23805000 kB\n";
        let capacity = HostCapacity::parse(2, meminfo, "0.52 0.58 0.59 1/389 12345\n");
        assert_eq!(capacity.memory_total_bytes, Some(24_684_372 * 1_024));
        assert_eq!(capacity.memory_available_bytes, Some(23_805_000 * 1_024));
        assert_eq!(capacity.load_average, Some([0.52, 0.58, 0.59]));
        assert_eq!(capacity.document(512 << 20)["room_for_sandboxes"], 45);
    }

    #[test]
    fn what_is_not_there_is_absent() {
        let capacity = HostCapacity::parse(1, "MemTotal: many kB\n", "0.1 x");
        assert_eq!(capacity, HostCapacity { cpu_count: 1, ..HostCapacity::default() });
        assert_eq!(capacity.document(1)["load_average"], Value::Null);
    }

    #[test]
    fn this_host_has_memory() {
        let capacity = HostCapacity::read(1);
        assert!(capacity.memory_available_bytes <= capacity.memory_total_bytes);
        assert!(capacity.memory_total_bytes.is_some_and(|bytes| bytes > 1 << 24));
    }
}
