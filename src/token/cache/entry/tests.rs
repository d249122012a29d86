use super::*;
use crate::decision::scopes::ScopeSet;
use crate::token::record::Role;
use crate::token::store::Ask;

const SUBJECT: Id = Id::from_bytes([0x5a; 16]);
const KEY: Id = Id::from_bytes([0xab; 16]);
const TENANT: Id = Id::from_bytes([0xcd; 16]);
const PROVERS: Provers = Provers { keyring: 0x0102_0304, issuers: 7 };

fn entry(kind: CredentialKind, name: &str, key: Option<Id>, told_end: UnixMs) -> Entry {
    let grant = Grant { allow: "orders:* users:read".parse().unwrap(), deny: ScopeSet::default() };
    let networks = ["10.0.0.0/8".parse().unwrap()];
    let common = Arc::new(Common::new(TENANT, &TENANT.to_string(), Role::Client, grant, Vec::new(), &networks, None));
    let concerned = Concerned::from(Ask::Key(KEY));
    let terms = Terms { name: Name([1, 2]), kind, provers: PROVERS, concerned, stamps: Stamps::default(), deadline: UnixMs(90_000) };
    Entry::live(terms, Standing { subject: SUBJECT, name, key, common, cap: UnixMs(100_000), told_end, slides: UnixMs(50) })
}

#[test]
fn small() {
    assert!(size_of::<Entry>() <= 120, "{}: a million of them are kept", size_of::<Entry>());
}

#[test]
fn tells_what_its_holder_tells() {
    let long = format!("{}@example.com", "a".repeat(300));
    for name in ["carl", "", "\u{e9}", &long] {
        for (kind, key) in [(CredentialKind::Token, Some(KEY)), (CredentialKind::ApiKey, Some(KEY)), (CredentialKind::Session, None)] {
            let entry = entry(kind, name, key, UnixMs(100_000));
            let (kept, holder) = (&entry as &dyn Identity, Identity::holder(&entry));
            assert_eq!((holder.kind, kept.kind()), (kind, kind));
            assert_eq!((kept.told(&[]), holder.name.as_str()), (holder.told(&[]), name));
            assert_eq!(kept.networks(), holder.networks);
            assert_eq!((kept.key(), holder.key()), (key, key));
            assert_eq!(holder.key_id, key.map(|key| key.to_string()).unwrap_or_default());
            let texts = [&SUBJECT.to_string(), &KEY.to_string(), &TENANT.to_string(), "client", name, ""];
            for attribute in [Attribute::Uid, Attribute::Name, Attribute::Tenant, Attribute::Role, Attribute::KeyId] {
                for text in texts {
                    assert_eq!(kept.is(attribute, text.as_bytes()), holder.is(attribute, text.as_bytes()), "{attribute:?} {text}");
                }
            }
        }
    }
}

#[test]
fn a_name_that_no_header_carries_is_none() {
    let entry = entry(CredentialKind::Token, "a\nb", Some(KEY), UnixMs(100_000));
    assert_eq!(entry.told(&[]).user, SUBJECT.to_string());
    assert!(!entry.is(Attribute::Name, SUBJECT.to_string().as_bytes()));
}

#[test]
fn its_end_is_told_and_its_keyring_known() {
    let ends = |told_end| entry(CredentialKind::Token, "c", Some(KEY), UnixMs(told_end)).expires_in_s(UnixMs(60_500), 30);
    assert_eq!((ends(100_000), ends(80_000), ends(60_000)), (Some(30), Some(19), Some(0)));
    let entry = entry(CredentialKind::Token, "c", Some(KEY), UnixMs(100_000));
    assert!(entry.is_proved_by(PROVERS) && entry.is_proved_by(Provers { issuers: 9, ..PROVERS }));
    assert!(!entry.is_proved_by(Provers { keyring: 0x0102_0305, ..PROVERS }));
}

#[test]
fn of_another_issuer() {
    let number = IssuerNumber::new(63).unwrap();
    let entry = entry(CredentialKind::Issuer(number), "auth0|7", None, UnixMs(100_000));
    let holder = Identity::holder(&entry);
    assert_eq!((entry.kind(), holder.kind), (CredentialKind::Issuer(number), CredentialKind::Issuer(number)));
    assert_eq!((holder.uid.as_str(), holder.name.as_str(), holder.key_id.as_str()), ("auth0|7", "auth0|7", ""));
    assert_eq!(entry.told(&[]), holder.told(&[]));
    for attribute in [Attribute::Uid, Attribute::Name] {
        assert!(entry.is(attribute, b"auth0|7") && !entry.is(attribute, SUBJECT.to_string().as_bytes()));
    }
    assert_eq!(entry.expires_in_s(UnixMs(60_000), 3600), Some(40), "its issuer's place is no time");
    assert!(entry.is_proved_by(Provers { keyring: 9, ..PROVERS }) && !entry.is_proved_by(Provers { issuers: 8, ..PROVERS }));
    assert!(entry.is_live());
}

#[test]
fn one_use_a_step_and_one_a_minute() {
    let entry = entry(CredentialKind::Token, "c", Some(KEY), UnixMs(100_000));
    assert!(!entry.is_due(UnixMs(49)));
    assert!(entry.is_due(UnixMs(50)) && !entry.is_due(UnixMs(50)));
    entry.slid(UnixMs(80));
    assert!(!entry.is_due(UnixMs(79)) && entry.is_due(UnixMs(80)));
    let minutes: Vec<bool> = (0..5).map(|n| entry.is_first_of_minute(UnixMs(MINUTE_MS + n * 30_000))).collect();
    assert_eq!(minutes, [true, false, true, false, true]);
}
