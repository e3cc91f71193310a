//! What there is of the machine that we may use: cpus, memory, GPUs. What of it queued jobs get is decided in
//! `domain::resources`.

use std::fs;
use std::path::Path;
use std::thread;

use crate::domain::resources::Found;

/// Looks at the machine. What cannot be found out is one cpu, as much memory as anybody asks for, no GPU.
///
/// Cpus are those that we may run on (`sched_getaffinity`), no more than the quota of our control groups gives; memory
/// is what the machine has, no more than the limits of our control groups.
pub fn detect() -> Found {
    detect_in(Path::new("/"))
}

fn detect_in(root: &Path) -> Found {
    let cpus = thread::available_parallelism().map_or(1, |cpus| u32::try_from(cpus.get()).unwrap_or(u32::MAX));
    Found { cpus, memory: memory(root).unwrap_or(u64::MAX), gpus: gpus(root) }
}

fn memory(root: &Path) -> Option<u64> {
    let all = fs::read_to_string(root.join("proc/meminfo")).ok().and_then(|text| total(&text));
    all.into_iter().chain(limit(root)).min()
}

/// `MemTotal` of `/proc/meminfo`, in bytes.
fn total(text: &str) -> Option<u64> {
    let number = text.lines().find_map(|line| line.strip_prefix("MemTotal:"))?.trim().strip_suffix("kB")?;
    number.trim().parse::<u64>().ok()?.checked_mul(1024)
}

/// The lowest `memory.max` of our control group and those above it (cgroups(7), version 2), in bytes.
fn limit(root: &Path) -> Option<u64> {
    let groups = fs::read_to_string(root.join("proc/self/cgroup")).ok()?;
    let ours = groups.lines().find_map(|line| line.strip_prefix("0::/"))?;
    let read = |group: &Path| -> Option<u64> {
        let file = root.join("sys/fs/cgroup").join(group).join("memory.max");
        fs::read_to_string(file).ok()?.trim().parse().ok()
    };
    Path::new(ours).ancestors().filter_map(read).min()
}

/// How many GPUs there are: NVIDIA's devices, or, where these are made only when somebody asks for them, what its
/// driver has found.
fn gpus(root: &Path) -> u32 {
    let is_gpu = |name: &str| {
        name.strip_prefix("nvidia").is_some_and(|rest| !rest.is_empty() && rest.bytes().all(|b| b.is_ascii_digit()))
    };
    match count(&root.join("dev"), is_gpu) {
        0 => count(&root.join("proc/driver/nvidia/gpus"), |_| true),
        devices => devices,
    }
}

fn count(folder: &Path, matches: impl Fn(&str) -> bool) -> u32 {
    let Ok(entries) = fs::read_dir(folder) else { return 0 };
    let found = entries.flatten().filter(|entry| entry.file_name().to_str().is_some_and(&matches)).count();
    u32::try_from(found).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn write(root: &Path, path: &str, text: &str) {
        let file = root.join(path);
        fs::create_dir_all(file.parent().unwrap()).unwrap();
        fs::write(file, text).unwrap();
    }

    #[test]
    fn this_machine_is_found() {
        let found = detect();
        let online = fs::read_to_string("/proc/cpuinfo").unwrap().matches("processor\t:").count();
        assert!(found.cpus >= 1 && found.cpus as usize <= online, "{found:?}, {online} online");
        assert!(found.memory > 1 << 24 && found.memory < 1 << 50, "{found:?}");
    }

    #[test]
    fn no_more_cpus_are_found_than_we_may_run_on() {
        let test = "process::machine::tests::this_machine_has_one_cpu_for_us";
        let mut command = std::process::Command::new("taskset");
        command.args(["-c", &first_allowed()]).arg(std::env::current_exe().unwrap());
        let status = command.args(["--exact", test]).env("JOBEXEC_TEST_ONE_CPU", "1").output();
        let output = status.unwrap();
        let said = String::from_utf8_lossy(&output.stdout);
        assert!(output.status.success() && said.contains("1 passed"), "{said}");
    }

    /// Asserts something only where the test above runs it.
    #[test]
    fn this_machine_has_one_cpu_for_us() {
        if std::env::var_os("JOBEXEC_TEST_ONE_CPU").is_some() {
            assert_eq!(detect().cpus, 1);
        }
    }

    /// The first cpu of our own mask.
    fn first_allowed() -> String {
        let status = fs::read_to_string("/proc/self/status").unwrap();
        let list = status.lines().find_map(|line| line.strip_prefix("Cpus_allowed_list:")).unwrap();
        list.trim().split([',', '-']).next().unwrap().to_owned()
    }

    #[test]
    fn memory_is_that_of_the_machine_or_the_lowest_limit_above_us() {
        let temp = tempfile::tempdir().unwrap();
        let root = temp.path();
        assert_eq!(memory(root), None);
        write(root, "proc/meminfo", "MemTotal:       16384 kB\nMemFree:         1 kB\n");
        assert_eq!(memory(root), Some(16 << 20));
        write(root, "proc/self/cgroup", "1:name=systemd:/x\n0::/a.slice/b\n");
        write(root, "sys/fs/cgroup/a.slice/b/memory.max", "max\n");
        assert_eq!(memory(root), Some(16 << 20));
        write(root, "sys/fs/cgroup/a.slice/memory.max", "1048576\n");
        assert_eq!(memory(root), Some(1 << 20));
        write(root, "sys/fs/cgroup/a.slice/b/memory.max", "4096\n");
        assert_eq!(memory(root), Some(4096));
        // In a container the root of what it sees has the limit.
        write(root, "sys/fs/cgroup/memory.max", "2048\n");
        write(root, "proc/self/cgroup", "0::/\n");
        assert_eq!(memory(root), Some(2048));
        write(root, "sys/fs/cgroup/memory.max", "18446744073709551615\n");
        assert_eq!(memory(root), Some(16 << 20));
    }

    #[test]
    fn gpus_are_counted_by_their_devices_or_by_the_driver() {
        let temp = tempfile::tempdir().unwrap();
        let root = temp.path();
        assert_eq!(gpus(root), 0);
        for device in ["nvidiactl", "nvidia-uvm", "nvidia-modeset", "null"] {
            write(root, &format!("dev/{device}"), "");
        }
        assert_eq!(gpus(root), 0);
        write(root, "proc/driver/nvidia/gpus/0000:01:00.0/information", "");
        assert_eq!(gpus(root), 1);
        write(root, "dev/nvidia0", "");
        write(root, "dev/nvidia12", "");
        assert_eq!(gpus(root), 2);
    }
}
