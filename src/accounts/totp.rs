//! Time-based one-time passwords (RFC 6238) as every authenticator app makes them: SHA-1, six digits, 30 seconds.

use data_encoding::BASE32_NOPAD;
use ring::hmac;
use subtle::ConstantTimeEq;

use crate::clock::UnixMs;
use crate::id::random_bytes;

/// Seconds a code stands for.
const STEP_S: u64 = 30;
/// Codes so many steps early or late are taken, too: clocks differ, and people type.
const WINDOW: u64 = 1;
/// Digits of a code.
pub const DIGITS: usize = 6;
/// As long as SHA-1's output (RFC 4226 §4).
const SECRET_BYTES: usize = 20;

/// The secret that a person's app and we share; mute in debug output.
#[derive(Clone, PartialEq, Eq)]
pub struct TotpSecret(Vec<u8>);

impl std::fmt::Debug for TotpSecret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("TotpSecret")
    }
}

impl TotpSecret {
    /// A new one.
    ///
    /// # Errors
    /// Where the system has no randomness to give.
    pub fn random() -> Result<Self, ring::error::Unspecified> {
        Ok(Self(random_bytes::<SECRET_BYTES>()?.to_vec()))
    }

    pub(super) fn from_bytes(bytes: Vec<u8>) -> Self {
        Self(bytes)
    }

    pub(super) fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// As it is typed into an app.
    pub fn reveal(&self) -> String {
        BASE32_NOPAD.encode(&self.0)
    }

    /// As an app reads it off a picture: `otpauth://totp/…`, labelled with whose it is and where.
    pub fn uri(&self, issuer: &str, name: &str) -> String {
        let (issuer, name) = (encoded(issuer), encoded(name));
        let secret = self.reveal();
        format!("otpauth://totp/{issuer}:{name}?secret={secret}&issuer={issuer}&algorithm=SHA1&digits={DIGITS}&period={STEP_S}")
    }

    /// The step that `code` is of, around `now` and later than `last`: none is taken twice (RFC 6238 §5.2).
    pub(super) fn step_of(&self, code: &str, now: UnixMs, last: u64) -> Option<u64> {
        let now = now.seconds() / STEP_S;
        (now.saturating_sub(WINDOW)..=now + WINDOW)
            .filter(|step| *step > last)
            .find(|step| self.code(*step).as_bytes().ct_eq(code.as_bytes()).into())
    }

    /// HOTP (RFC 4226 §5.3) of a step.
    fn code(&self, step: u64) -> String {
        let key = hmac::Key::new(hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY, &self.0);
        let tag = hmac::sign(&key, &step.to_be_bytes());
        let tag = tag.as_ref();
        let offset = usize::from(tag.last().copied().unwrap_or_default() & 0xf);
        let number = tag.iter().skip(offset).take(4).fold(0u32, |number, byte| number << 8 | u32::from(*byte)) & 0x7fff_ffff;
        format!("{:0width$}", number % 1_000_000, width = DIGITS)
    }

    /// For tests of other rooms: the code at a time.
    #[cfg(test)]
    pub(crate) fn code_at(&self, now: UnixMs) -> String {
        self.code(now.seconds() / STEP_S)
    }

    /// For tests of other rooms: the secret that an answer showed.
    #[cfg(test)]
    pub(crate) fn typed(text: &str) -> Self {
        Self(BASE32_NOPAD.decode(text.as_bytes()).unwrap())
    }
}

/// Percent-encoded (RFC 3986 §2.3).
fn encoded(text: &str) -> String {
    percent_encoding::utf8_percent_encode(text, percent_encoding::NON_ALPHANUMERIC).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: u64) -> UnixMs {
        UnixMs(seconds * 1000)
    }

    #[test]
    fn the_codes_are_those_of_rfc_6238() {
        // appendix B, SHA-1: the last six of its eight digits
        let secret = TotpSecret::from_bytes(b"12345678901234567890".to_vec());
        for (seconds, code) in [
            (59, "287082"),
            (1_111_111_109, "081804"),
            (1_111_111_111, "050471"),
            (1_234_567_890, "005924"),
            (2_000_000_000, "279037"),
            (20_000_000_000, "353130"),
        ] {
            assert_eq!(secret.code_at(at(seconds)), code, "{seconds}");
        }
    }

    #[test]
    fn a_code_is_good_a_step_early_and_late_and_once() {
        let secret = TotpSecret::from_bytes(b"12345678901234567890".to_vec());
        let now: u64 = 1_234_567_890;
        let step = now / 30;
        for (distance, taken) in [(-61, false), (-30, true), (0, true), (30, true), (61, false)] {
            let code = secret.code_at(at(now.checked_add_signed(distance).unwrap()));
            assert_eq!(secret.step_of(&code, at(now), 0).is_some(), taken, "{distance}");
        }
        let code = secret.code_at(at(now));
        assert_eq!(secret.step_of(&code, at(now), 0), Some(step));
        assert_eq!(secret.step_of(&code, at(now), step - 1), Some(step));
        assert_eq!(secret.step_of(&code, at(now), step), None, "twice");
        assert_eq!(secret.step_of(&secret.code_at(at(now - 30)), at(now), step), None, "an earlier one after a later one");
        for wrong in ["", "5924", "0059240", "00592a"] {
            assert_eq!(secret.step_of(wrong, at(now), 0), None);
        }
    }

    #[test]
    fn an_app_reads_whose_it_is() {
        let secret = TotpSecret::from_bytes(b"12345678901234567890".to_vec());
        let uri = secret.uri("Gatepost auth.example.com", "ann@example.com");
        assert_eq!(
            uri,
            "otpauth://totp/Gatepost%20auth%2Eexample%2Ecom:ann%40example%2Ecom?secret=GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ\
             &issuer=Gatepost%20auth%2Eexample%2Ecom&algorithm=SHA1&digits=6&period=30"
        );
        assert_eq!(TotpSecret::typed(&secret.reveal()), secret);
        assert_eq!(format!("{secret:?}"), "TotpSecret");
    }
}
