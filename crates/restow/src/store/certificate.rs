//! Why no connection with TLS came about, in words that help.

use crate::ErrorKind;
use rustls::{AlertDescription, CertificateError, Error as Tls};
use std::{error::Error as StdError, io, sync::Arc};

/// Says of a failed connection why its TLS failed, and what helps; `None` where it was something else. `ca` is the parameter of the URL that names
/// those who vouch, `plain` how to do without TLS.
///
/// What somebody has to set right is [`ErrorKind::Config`], what passes is [`ErrorKind::Store`].
pub(super) fn refused(
    error: &(dyn StdError + 'static),
    place: &str,
    ca: &str,
    plain: &str,
) -> Option<(ErrorKind, String)> {
    let (kind, why) = match why(error)? {
        Why::Unknown => (
            ErrorKind::Config,
            format!(
                "the certificate of {place} is vouched for by nobody who is trusted; name the file of who does (PEM) with {ca}"
            ),
        ),
        Why::Name => (
            ErrorKind::Config,
            format!(
                "the certificate of {place} is for another host name; write the name that it is for, or give the server one for this name"
            ),
        ),
        Why::Time => (
            ErrorKind::Store,
            format!(
                "the certificate of {place} has expired or is not valid yet; renew it, and check the clocks"
            ),
        ),
        Why::Bad => (
            ErrorKind::Config,
            format!("the certificate of {place} is not one to be trusted; see the cause"),
        ),
        Why::Client => (
            ErrorKind::Unsupported,
            format!(
                "{place} asks for a certificate of its clients, which restow does not send; let it ask for a password instead"
            ),
        ),
        Why::NoTls => (
            ErrorKind::Config,
            format!("{place} does not speak TLS there; name its port for TLS, or {plain}"),
        ),
    };
    Some((kind, why))
}

enum Why {
    Unknown,
    Name,
    Time,
    Bad,
    Client,
    NoTls,
}

fn why(error: &(dyn StdError + 'static)) -> Option<Why> {
    let (mut next, mut said) = (Some(error), None);
    while let Some(error) = next {
        if let Some(tls) = error.downcast_ref::<Tls>() {
            return of_tls(tls);
        }
        said = of_text(&error.to_string()).or(said);
        next = if let Some(shared) = error.downcast_ref::<Arc<dyn StdError + Send + Sync>>() {
            Some(&**shared)
        } else if let Some(io) = error.downcast_ref::<io::Error>() {
            // Its source is that of what it holds.
            io.get_ref().map(|held| held as _)
        } else {
            error.source()
        };
    }
    said
}

fn of_tls(error: &Tls) -> Option<Why> {
    Some(match error {
        Tls::InvalidCertificate(why) => match why {
            // The second: by one of the same name with another key.
            CertificateError::UnknownIssuer | CertificateError::BadSignature => Why::Unknown,
            CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => {
                Why::Name
            }
            CertificateError::Expired
            | CertificateError::ExpiredContext { .. }
            | CertificateError::NotValidYet
            | CertificateError::NotValidYetContext { .. } => Why::Time,
            _ => Why::Bad,
        },
        Tls::InvalidMessage(_) => Why::NoTls,
        Tls::AlertReceived(
            AlertDescription::CertificateRequired | AlertDescription::HandshakeFailure,
        ) => Why::Client,
        _ => return None,
    })
}

/// Where a driver hands on nothing but words.
fn of_text(text: &str) -> Option<Why> {
    let words = [
        ("UnknownIssuer", Why::Unknown),
        ("BadSignature", Why::Unknown),
        ("not valid for name", Why::Name),
        ("NotValidForName", Why::Name),
        ("certificate expired", Why::Time),
        ("certificate not valid yet", Why::Time),
        ("invalid peer certificate", Why::Bad),
        ("CertificateRequired", Why::Client),
        ("InvalidContentType", Why::NoTls),
        ("server does not support TLS", Why::NoTls),
    ];
    let mut words = words.into_iter();
    words.find_map(|(words, why)| text.contains(words).then_some(why))
}
