//! What a party counts and uses in a request.

/// What a party tells the client after a request. Bytes are payload that this party sent.
#[derive(Clone, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Report {
    /// To the other evaluator and the client; of P2 its part in a lookup, to both evaluators.
    pub online_bytes: u64,
    /// Preprocessing, to both evaluators.
    pub offline_bytes: u64,
    /// Longest chain of dependent messages between the evaluators.
    pub hops: u32,
    /// Most memory that this process ever held, in bytes; 0 where the system does not tell.
    pub peak_rss_bytes: u64,
    /// Microseconds of preprocessing, also if it ran beside the online phase.
    pub preprocess_micros: u64,
    /// Microseconds from the input to the output.
    pub online_micros: u64,
    /// Processor time of this process during preprocessing, in microseconds over all threads; in steps of 10 ms, and 0
    /// where the system does not tell. Of an evaluator whose phases ran beside each other, 0: the other number is of both.
    pub preprocess_cpu_micros: u64,
    /// The same from the input to the output.
    pub online_cpu_micros: u64,
    /// When the party entered each step; of a party that is [traced](super::Party::traced) only.
    pub trace: Trace,
}

/// When a party entered each step of a request's program: microseconds from the beginning of a phase, in the order of the
/// program's steps, and then the time at which the phase ended.
#[derive(Clone, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Trace {
    /// Of preprocessing.
    pub preprocess: Vec<u32>,
    /// Of the online phase, from before the input came; the helper has none.
    pub online: Vec<u32>,
}

impl Report {
    /// Preprocessing and online phase together.
    pub(super) fn and(self, online: Self) -> Self {
        Self {
            online_bytes: online.online_bytes,
            hops: online.hops,
            online_micros: online.online_micros,
            online_cpu_micros: online.online_cpu_micros,
            trace: Trace { online: online.trace.online, ..self.trace },
            ..self
        }
    }

    /// The same where the two ran at once: processor time cannot be told apart and counts as the online phase's.
    pub(super) fn beside(self, online: Self) -> Self {
        Self { preprocess_cpu_micros: 0, ..self.and(online) }
    }

    /// Bytes of a report without a trace.
    const BYTES: usize = 68;

    pub(super) fn encode(&self) -> Vec<u8> {
        let words = [
            self.online_bytes,
            self.offline_bytes,
            self.preprocess_micros,
            self.online_micros,
            self.peak_rss_bytes,
            self.preprocess_cpu_micros,
            self.online_cpu_micros,
        ];
        let Trace { preprocess, online } = &self.trace;
        let counts = [self.hops, preprocess.len() as u32, online.len() as u32];
        let short = counts.iter().chain(preprocess).chain(online).flat_map(|w| w.to_le_bytes());
        words.iter().flat_map(|w| w.to_le_bytes()).chain(short).collect()
    }

    pub(super) fn decode(bytes: &[u8]) -> Option<Self> {
        let word = |i: usize| Some(u64::from_le_bytes(bytes.get(i * 8..i * 8 + 8)?.try_into().ok()?));
        let short = |i: usize| Some(u32::from_le_bytes(bytes.get(i..i + 4)?.try_into().ok()?));
        let (preprocess, online) = (short(60)? as usize, short(64)? as usize);
        let (times, rest) = bytes.get(Self::BYTES..)?.as_chunks();
        if times.len() != preprocess.checked_add(online)? || !rest.is_empty() {
            return None;
        }
        let times: Vec<u32> = times.iter().map(|t| u32::from_le_bytes(*t)).collect();
        let (preprocess, online) = times.split_at(preprocess);
        Some(Self {
            online_bytes: word(0)?,
            offline_bytes: word(1)?,
            preprocess_micros: word(2)?,
            online_micros: word(3)?,
            peak_rss_bytes: word(4)?,
            preprocess_cpu_micros: word(5)?,
            online_cpu_micros: word(6)?,
            hops: short(56)?,
            trace: Trace { preprocess: preprocess.to_vec(), online: online.to_vec() },
        })
    }
}

/// The process's resident set at its largest, as Linux tells it.
pub(super) fn peak_rss_bytes() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let kibibytes =
        status.lines().find_map(|l| l.strip_prefix("VmHWM:")?.trim().strip_suffix("kB")?.trim().parse().ok());
    kibibytes.map_or(0, |k: u64| k * 1024)
}

/// Processor time of this process so far, over all threads, in user and system mode, as Linux tells it: fields 14 and 15
/// of `/proc/self/stat`, in hundredths of a second on every architecture.
pub(super) fn cpu_micros() -> u64 {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    // The second field, the program's name in parentheses, may hold spaces.
    let after_name = stat.rsplit_once(')').map_or("", |(_, rest)| rest);
    let ticks = after_name.split_whitespace().skip(11).take(2).filter_map(|t| t.parse::<u64>().ok());
    ticks.sum::<u64>() * 10_000
}
