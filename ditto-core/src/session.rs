//! Three parties that run one model.
