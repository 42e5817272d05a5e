//! Names of steps: derived from the source, unique within their context.

/// The names used in one context.
#[derive(Default)]
pub(crate) struct Names {
    used: Vec<String>,
    /// Names of loops: `name.0`, `name.1`, .. are theirs.
    loops: Vec<String>,
}

/// Whether `name` is a pass of the loop `of`.
fn is_pass(name: &str, of: &str) -> bool {
    name.strip_prefix(of)
        .and_then(|rest| rest.strip_prefix('.'))
        .is_some_and(|n| !n.is_empty() && n.bytes().all(|b| b.is_ascii_digit()))
}

impl Names {
    /// A name for one step: `base`, or `base.2`, `base.3`, .. when it is taken.
    pub(crate) fn step(&mut self, base: &str) -> String {
        let name = self.free(base, |names, name| !names.loops.iter().any(|of| is_pass(name, of)));
        self.used.push(name.clone());
        name
    }

    /// A name for the passes of a loop.
    pub(crate) fn passes(&mut self, base: &str) -> String {
        let name = self.free(base, |names, name| !names.used.iter().any(|used| is_pass(used, name)));
        self.used.push(name.clone());
        self.loops.push(name.clone());
        name
    }

    fn free(&self, base: &str, fits: impl Fn(&Self, &str) -> bool) -> String {
        let mut name = base.to_owned();
        let mut n = 1;
        while self.used.contains(&name) || !fits(self, &name) {
            n += 1;
            name = format!("{base}.{n}");
        }
        name
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn repeated_names_are_numbered() {
        let mut names = Names::default();
        assert_eq!(names.step("linear"), "linear");
        assert_eq!(names.step("linear"), "linear.2");
        assert_eq!(names.step("linear"), "linear.3");
    }

    #[test]
    fn steps_keep_clear_of_the_passes_of_loops() {
        let mut names = Names::default();
        assert_eq!(names.step("layer"), "layer");
        assert_eq!(names.step("layer"), "layer.2");
        // `layer` is taken and would own `layer.2`; passes of `layer.3` are `layer.3.0`, ..
        assert_eq!(names.passes("layer"), "layer.3");
        let mut names = Names::default();
        assert_eq!(names.passes("layer"), "layer");
        assert_eq!(names.step("q"), "q");
        assert_eq!(names.step("layer.7"), "layer.7.2");
    }
}
