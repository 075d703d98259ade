//! Deployment manifests and `config.toml` for a hierarchy whose images come through Cistern.
//!
//! Must not know where a hierarchy was written down, nor where what is generated goes.
