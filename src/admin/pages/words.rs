//! What pages say: failures and outcomes in plain words.

use super::super::failure::Failure;

/// A failure as somebody is told who fills in a form.
pub(super) fn plain(failure: &Failure) -> String {
    let fixed = match failure.code() {
        "weak_password" => {
            "That password is too short, or too well known. Take a longer one that nobody would guess, for example four words."
        }
        "weak_refresh_key" => "That refresh key is too short, or too easily guessed.",
        "user_already_exist" => "That name is taken.",
        "incorrect_credentials" => "Incorrect credentials.",
        "incorrect_code" => "That code is wrong, used, or too old.",
        "second_factor_required" => "Please enter the code of your authenticator app.",
        "incorrect_second_factor" => "That code is wrong, or has been used already. Codes change every 30 seconds.",
        "invitation_required" => "You need an invitation that is still good.",
        "setup_code_required" => "The first account here needs the set-up code that was printed at the start.",
        "phone_required" => "Please prove a phone number first, on the page of your account.",
        "not_found" => "There is no such thing, or it is not yours to see.",
        "unavailable" => "The database or the token store cannot be reached. Please try again in a moment.",
        "busy" | "too_many_tries" => "Too many tries. Please wait a moment and try again.",
        "forbidden" if failure.message() == "forbidden" => "That is not yours to do.",
        _ => "",
    };
    if fixed.is_empty() { sentence(failure.message()) } else { fixed.to_owned() }
}

/// A message as a sentence; a field's name in front without its quotes.
fn sentence(message: &str) -> String {
    let named = message.strip_prefix('`').and_then(|rest| rest.split_once("`: "));
    let text = named.map_or_else(|| message.to_owned(), |(field, problem)| format!("{}: {problem}", field.replace('_', " ")));
    let mut characters = text.chars();
    let end = if text.ends_with(['.', '?', '!']) { "" } else { "." };
    characters.next().map(|first| format!("{}{}{end}", first.to_uppercase(), characters.as_str())).unwrap_or_default()
}

/// What came of something that was done before this page, by its code in the address: nobody else's words are shown.
pub(super) fn done(code: &str) -> Option<&'static str> {
    Some(match code {
        "key-deleted" => "The key is deleted, and its tokens have ended.",
        "key-scopes" => "The key's scopes are changed; its tokens follow at the next check.",
        "key-terms" => "What is agreed about the key is changed.",
        "token-ended" => "The token has ended.",
        "session-ended" => "That login has ended.",
        "profile" => "Your profile is changed.",
        "proved" => "Proved.",
        "password" => "Your password is changed.",
        "factor-removed" => "The second factor is removed. Your password alone logs you in from now on.",
        "factor-reset" => "The second factor is reset, and their logins have ended.",
        "blocked" => "Blocked, with everyone below.",
        "unblocked" => "Let in again.",
        "policies" => "The policies are changed.",
        "person-deleted" => "Deleted, with everyone below.",
        "policy-made" => "The policy is made. Attach it to someone on the page of people.",
        "policy-changed" => "The policy is changed; whoever has it follows at the next check.",
        "policy-deleted" => "The policy is deleted; it gives and takes nothing any more.",
        "denied" => "Denied: refused from now on, like an ended token.",
        "denial-lifted" => "The denial is lifted; the issuer's word counts again.",
        "invitation-ended" => "The invitation is withdrawn.",
        LATER => "Done. The token store cannot be reached at the moment and hears of it when it returns; until then nobody is let in.",
        _ => return None,
    })
}

/// The code of what the token store has yet to hear of.
pub(super) const LATER: &str = "later";

#[cfg(test)]
mod tests {
    use axum::http::StatusCode;

    use super::*;
    use crate::accounts::Refusal;

    #[test]
    fn failures_are_sentences() {
        let cases = [
            (Failure::from(Refusal::field("expires_in", "1 to 90 seconds")), "Expires in: 1 to 90 seconds."),
            (Failure::from(Refusal::Forbidden), "That is not yours to do."),
            (Failure::forbidden("only a page of this site logs you out"), "Only a page of this site logs you out."),
            (Failure::new(StatusCode::CONFLICT, "account not linked"), "Account not linked."),
        ];
        for (failure, expected) in cases {
            assert_eq!(plain(&failure), expected);
        }
    }

    #[test]
    fn an_address_brings_no_words_of_its_own() {
        assert!(done("key-deleted").is_some());
        assert_eq!(done("Call this number"), None);
    }
}
