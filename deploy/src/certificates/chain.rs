//! From the first certificate of a file up to a root that everybody trusts: where that way ends too early.

use super::Certificate;

/// How far a chain goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Chain {
    /// Every link is there, and the last is signed by, or is, one of the roots.
    Complete,
    /// The issuer of this one is neither the next in the file nor among the roots.
    Broken {
        /// Whose issuer is missing: counted from 1.
        position: usize,
        /// Whom it names.
        subject: String,
        /// Who signed it.
        issuer: String,
        /// Whether some later certificate of the file is that issuer: the order is wrong.
        is_misplaced: bool,
        /// Whether a certificate of that name is there that did not make the signature: made anew with another key.
        is_replaced: bool,
    },
    /// All links hold, up to a root that is not in the bundle.
    OtherRoot {
        /// The root's name.
        root: String,
    },
    /// This issuer may not sign certificates.
    NotAnAuthority {
        /// Whom it names.
        subject: String,
    },
}

/// Follows `chain`, whose first is the certificate itself, up to one of `roots`. Dates are not looked at.
pub fn judge(chain: &[Certificate], roots: &[Certificate]) -> Chain {
    for (position, certificate) in chain.iter().enumerate() {
        if position > 0 && !certificate.is_authority {
            return Chain::NotAnAuthority {
                subject: certificate.subject.clone(),
            };
        }
        if roots.iter().any(|root| root.der == certificate.der) {
            return Chain::Complete;
        }
        let following = chain.get(position + 1);
        if following.is_some_and(|next| certificate.is_signed_by(next)) {
            continue;
        }
        if roots.iter().any(|root| certificate.is_signed_by(root)) {
            return Chain::Complete;
        }
        if certificate.is_self_signed() {
            return Chain::OtherRoot {
                root: certificate.subject.clone(),
            };
        }
        return broken(position, certificate, chain, roots);
    }
    Chain::Complete
}

fn broken(
    position: usize,
    certificate: &Certificate,
    chain: &[Certificate],
    roots: &[Certificate],
) -> Chain {
    let others = || chain.iter().chain(roots);
    Chain::Broken {
        position: position + 1,
        subject: certificate.subject.clone(),
        issuer: certificate.issuer.clone(),
        is_misplaced: others().any(|other| certificate.is_signed_by(other)),
        is_replaced: others().any(|other| other.subject == certificate.issuer),
    }
}
