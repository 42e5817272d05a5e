//! The machine that a benchmark runs on.

use std::fs;
use std::process::Command;

use serde::Serialize;

/// What a reader must know of the machine; what the system does not tell is absent.
#[derive(Clone, Debug, Serialize)]
pub struct Host {
    /// Model of the processor.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cpu: Option<String>,
    /// Cores that this process may use.
    pub cores: usize,
    /// Those of the processor's vector extensions for which there are kernels.
    pub extensions: Vec<String>,
    /// Memory in bytes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub memory_bytes: Option<u64>,
    /// The system.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub system: Option<String>,
    /// Threads of each party's kernels, and of the model in floats.
    pub threads: usize,
    /// Commit of the sources, with a `+` where they were changed since.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub commit: Option<String>,
    /// Processes ready to run per minute before the benchmark began: near 0 if nothing else ran.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub load_before: Option<f64>,
}

/// Extensions that decide how fast kernels are, as Linux calls them.
const EXTENSIONS: [&str; 6] = ["avx2", "avx512f", "avx512ifma", "avx512_vnni", "vaes", "gfni"];

impl Host {
    /// The machine at hand.
    pub fn read() -> Self {
        let cpuinfo = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
        let of_cpu = |name: &str| {
            cpuinfo.lines().find_map(|line| {
                let (key, value) = line.split_once(':')?;
                (key.trim() == name).then(|| value.trim().to_owned())
            })
        };
        let flags = of_cpu("flags").unwrap_or_default();
        let has = |extension: &&&str| flags.split_whitespace().any(|flag| flag == **extension);
        let memory = fs::read_to_string("/proc/meminfo").unwrap_or_default();
        let kibibytes = memory.lines().find_map(|line| {
            line.strip_prefix("MemTotal:")?.trim().strip_suffix("kB")?.trim().parse::<u64>().ok()
        });
        let one_line = |file: &str| fs::read_to_string(file).ok().map(|text| text.trim().to_owned());
        let load = one_line("/proc/loadavg").and_then(|text| text.split_whitespace().next()?.parse().ok());
        Self {
            cpu: of_cpu("model name"),
            cores: std::thread::available_parallelism().map_or(1, usize::from),
            extensions: EXTENSIONS.iter().filter(has).map(|&e| e.to_owned()).collect(),
            memory_bytes: kibibytes.map(|k| k * 1024),
            system: one_line("/proc/sys/kernel/osrelease").map(|release| format!("Linux {release}")),
            threads: rayon::current_num_threads(),
            commit: commit(),
            load_before: load,
        }
    }
}

/// The commit that the sources of this program are at, if they are still there and git is.
fn commit() -> Option<String> {
    let git = |arguments: &[&str]| {
        let output = Command::new("git").arg("-C").arg(env!("CARGO_MANIFEST_DIR")).args(arguments).output();
        let output = output.ok().filter(|output| output.status.success())?;
        Some(String::from_utf8_lossy(&output.stdout).trim().to_owned())
    };
    let commit = git(&["rev-parse", "--short=12", "HEAD"])?;
    let changed =
        git(&["status", "--porcelain", "--untracked-files=no"]).is_none_or(|changes| !changes.is_empty());
    Some(if changed { commit + "+" } else { commit })
}
