//! Published sizes of models, and sizes of one's own.

use clap::{Args, ValueEnum};
use ditto_models::config::{BertConfig, Gpt2Config, ModelConfig};

use crate::error::{BenchError, Result};

/// Sizes of BERT.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum BertSize {
    /// BERT-base: 12 layers of width 768
    Base,
    /// BERT-large: 24 layers of width 1024
    Large,
    /// all-MiniLM-L6: 6 layers of width 384
    Minilm,
    /// What the options --layers, --hidden, --heads, --intermediate and --vocab say
    Custom,
}

/// Sizes of GPT-2.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Gpt2Size {
    /// GPT-2: 12 layers of width 768
    Base,
    /// GPT-2 medium: 24 layers of width 1024
    Medium,
    /// What the options --layers, --hidden, --heads, --intermediate and --vocab say
    Custom,
}

/// A family's sizes by name.
pub trait Size: ValueEnum + Copy + Send + Sync + 'static {
    /// The size with these options.
    fn model(self, custom: &Custom) -> Result<(String, ModelConfig)>;
}

/// Sizes of a model of one's own.
#[derive(Clone, Debug, Default, Args)]
pub struct Custom {
    /// With --size custom: layers
    #[arg(long, value_name = "N", value_parser = bounded::<256>)]
    pub layers: Option<usize>,
    /// With --size custom: width of hidden states
    #[arg(long, value_name = "N", value_parser = bounded::<16384>)]
    pub hidden: Option<usize>,
    /// With --size custom: attention heads
    #[arg(long, value_name = "N", value_parser = bounded::<1024>)]
    pub heads: Option<usize>,
    /// With --size custom: width of the feed-forward part [default: 4 times --hidden]
    #[arg(long, value_name = "N", value_parser = bounded::<65536>)]
    pub intermediate: Option<usize>,
    /// With --size custom: tokens in the vocabulary [default: the family's]
    #[arg(long, value_name = "N", value_parser = bounded::<2097152>)]
    pub vocab: Option<usize>,
}

/// A count from 1 to `MOST`.
pub(crate) fn bounded<const MOST: usize>(text: &str) -> std::result::Result<usize, String> {
    let number: usize = text.parse().map_err(|e| format!("{e}"))?;
    if (1..=MOST).contains(&number) { Ok(number) } else { Err(format!("it must be from 1 to {MOST}")) }
}

/// Layers, width, heads, width of the feed-forward part.
type Sizes = [usize; 4];

impl Custom {
    /// The option that is there, if any.
    pub fn given(&self) -> Option<&'static str> {
        let Self { layers, hidden, heads, intermediate, vocab } = self;
        let all = [
            (layers, "layers"),
            (hidden, "hidden"),
            (heads, "heads"),
            (intermediate, "intermediate"),
            (vocab, "vocab"),
        ];
        all.into_iter().find(|(value, _)| value.is_some()).map(|(_, name)| name)
    }

    /// The sizes named, or those of the options if none is.
    fn sizes(&self, named: Option<Sizes>) -> Result<Sizes> {
        if let Some(sizes) = named {
            return match self.given() {
                None => Ok(sizes),
                Some(option) => {
                    Err(BenchError::Option { option, what: "it goes with --size custom".to_owned() })
                }
            };
        }
        let needed = |value: Option<usize>, option| {
            value.ok_or(BenchError::Option { option, what: "--size custom needs it".to_owned() })
        };
        let [layers, hidden, heads] =
            [needed(self.layers, "layers")?, needed(self.hidden, "hidden")?, needed(self.heads, "heads")?];
        if !hidden.is_multiple_of(heads) {
            let what = format!("{heads} heads do not divide a width of {hidden} (--hidden)");
            return Err(BenchError::Option { option: "heads", what });
        }
        Ok([layers, hidden, heads, self.intermediate.unwrap_or(4 * hidden)])
    }
}

impl Size for BertSize {
    fn model(self, custom: &Custom) -> Result<(String, ModelConfig)> {
        let (name, named) = match self {
            Self::Base => ("bert-base", Some([12, 768, 12, 3072])),
            Self::Large => ("bert-large", Some([24, 1024, 16, 4096])),
            Self::Minilm => ("minilm-l6", Some([6, 384, 12, 1536])),
            Self::Custom => ("bert-custom", None),
        };
        let [layers, hidden, heads, intermediate] = custom.sizes(named)?;
        let config = BertConfig {
            vocab_size: custom.vocab.unwrap_or(30522),
            hidden_size: hidden,
            num_hidden_layers: layers,
            num_attention_heads: heads,
            intermediate_size: intermediate,
            max_position_embeddings: 512,
            ..BertConfig::tiny()
        };
        Ok((name.to_owned(), config.into()))
    }
}

impl Size for Gpt2Size {
    fn model(self, custom: &Custom) -> Result<(String, ModelConfig)> {
        let (name, named) = match self {
            Self::Base => ("gpt2-base", Some([12, 768, 12, 3072])),
            Self::Medium => ("gpt2-medium", Some([24, 1024, 16, 4096])),
            Self::Custom => ("gpt2-custom", None),
        };
        let [layers, hidden, heads, intermediate] = custom.sizes(named)?;
        let vocab_size = custom.vocab.unwrap_or(50257);
        // GPT-2's only special token is its last.
        let special = u32::try_from(vocab_size - 1).ok();
        let config = Gpt2Config {
            vocab_size,
            n_positions: 1024,
            n_embd: hidden,
            n_layer: layers,
            n_head: heads,
            n_inner: Some(intermediate),
            bos_token_id: special,
            eos_token_id: special,
            ..Gpt2Config::tiny()
        };
        Ok((name.to_owned(), config.into()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn custom() -> Custom {
        Custom { layers: Some(1), hidden: Some(32), heads: Some(4), ..Custom::default() }
    }

    #[test]
    fn published_sizes_are_those_published() {
        let (name, ModelConfig::Bert(large)) = BertSize::Large.model(&Custom::default()).unwrap() else {
            panic!("a BERT");
        };
        assert_eq!((name.as_str(), large.num_hidden_layers, large.head_size()), ("bert-large", 24, 64));
        assert_eq!((large.vocab_size, large.intermediate_size), (30522, 4096));
        let (_, ModelConfig::Gpt2(base)) = Gpt2Size::Base.model(&Custom::default()).unwrap() else {
            panic!("a GPT-2");
        };
        assert_eq!((base.vocab_size, base.inner_size(), base.eos_token_id), (50257, 3072, Some(50256)));
    }

    #[test]
    fn custom_sizes_are_checked() {
        let (_, ModelConfig::Bert(config)) = BertSize::Custom.model(&custom()).unwrap() else {
            panic!("a BERT");
        };
        assert_eq!((config.hidden_size, config.intermediate_size), (32, 128));
        let refused = |size: BertSize, custom: Custom, what: &str| {
            let error = size.model(&custom).unwrap_err().to_string();
            assert!(error.contains(what), "{error}");
        };
        refused(BertSize::Custom, Custom { heads: Some(5), ..custom() }, "--heads: 5 heads do not divide");
        refused(BertSize::Custom, Custom { hidden: None, ..custom() }, "--hidden: --size custom needs it");
        refused(BertSize::Base, custom(), "--layers: it goes with --size custom");
        assert!(bounded::<8>("9").is_err() && bounded::<8>("0").is_err() && bounded::<8>("x").is_err());
        assert_eq!(bounded::<8>("8"), Ok(8));
    }
}
