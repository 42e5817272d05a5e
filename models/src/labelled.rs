//! Texts with their classes.

use crate::config::Head;

/// How the name of a file of labelled texts ends.
pub(crate) const LABELLED: &str = "tsv";

/// A line's text and its class, whose name stands behind the last tab.
///
/// # Errors
///
/// Says what is wrong with a line for a model with this head.
pub(crate) fn labelled<'l>(line: &'l str, head: &Head) -> Result<(&'l str, u32), String> {
    let Head::Classification { labels, .. } = head else {
        return Err("a labelled text, but the model does not classify texts".to_owned());
    };
    let (text, name) = line.rsplit_once('\t').ok_or("no tab with a class behind it")?;
    let class = labels.iter().position(|label| label == name);
    let class =
        class.ok_or_else(|| format!("the model has no class {name:?}; it has {}", labels.join(", ")))?;
    Ok((text, class as u32))
}
