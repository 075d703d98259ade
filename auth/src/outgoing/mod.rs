//! Us to upstreams: what a challenge asks for, which token answers it, who may be shown our credentials.

mod challenge;
mod credential_command;
mod credentials;
mod realm;
mod scope;
mod token;
mod token_cache;

pub use challenge::Challenge;
pub use credential_command::CredentialCommand;
pub use credentials::{CredentialSource, Credentials, CredentialsError, SecretSource};
pub use realm::{Reach, RealmRefused, RealmRules};
pub use scope::Scope;
pub use token::{Token, TokenAnswer, TokenAnswerError, TokenRequest};
pub use token_cache::TokenCache;
