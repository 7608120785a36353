//! The page's own words in each language. The questions belong to the survey.

/// The words around the questions.
#[derive(Debug)]
pub(crate) struct Words {
    /// The tag in BCP 47.
    pub(crate) language: &'static str,
    pub(crate) title: &'static str,
    pub(crate) coupon: &'static str,
    pub(crate) location: &'static str,
    pub(crate) send: &'static str,
    pub(crate) no_rating: &'static str,
    pub(crate) no_recommendation: &'static str,
    /// Stands above the questions after the rating.
    pub(crate) saved: &'static str,
    /// Stands below the question for a comment.
    pub(crate) comment_hint: &'static str,
    pub(crate) finish: &'static str,
    pub(crate) thanks_title: &'static str,
    pub(crate) thanks: &'static str,
    pub(crate) change: &'static str,
    pub(crate) settled_title: &'static str,
    pub(crate) settled: &'static str,
    pub(crate) closed_title: &'static str,
    pub(crate) closed: &'static str,
    pub(crate) unavailable_title: &'static str,
    pub(crate) unavailable: &'static str,
    pub(crate) unreadable_title: &'static str,
    pub(crate) unreadable: &'static str,
}

/// The first language serves every language without words here.
pub(crate) const ALL: [Words; 2] = [
    Words {
        language: "pt-BR",
        title: "Sua opinião",
        coupon: "Cupom",
        location: "Local",
        send: "Enviar",
        no_rating: "Escolha uma nota de 1 a 5.",
        no_recommendation: "Escolha um número de 0 a 10.",
        saved: "Sua nota foi salva. Se quiser, responda a mais duas perguntas.",
        comment_hint: "Até 2.000 caracteres. Não escreva dados pessoais.",
        finish: "Concluir",
        thanks_title: "Obrigado pela resposta!",
        thanks: "Sua opinião ajuda a melhorar o programa.",
        change: "Mudar a resposta (por até uma hora)",
        settled_title: "Você já respondeu",
        settled: "Sua resposta está registrada. Obrigado!",
        closed_title: "Esta pesquisa não está aberta",
        closed: "O link expirou ou não está completo. Obrigado pelo interesse!",
        unavailable_title: "Não foi possível agora",
        unavailable: "Tente de novo em alguns segundos.",
        unreadable_title: "O formulário não pôde ser lido",
        unreadable: "Abra o link de novo e responda mais uma vez.",
    },
    Words {
        language: "en",
        title: "Your opinion",
        coupon: "Coupon",
        location: "Location",
        send: "Send",
        no_rating: "Choose a rating from 1 to 5.",
        no_recommendation: "Choose a number from 0 to 10.",
        saved: "Your rating is saved. There are two more questions, if you like.",
        comment_hint: "Up to 2,000 characters. Please write no personal data.",
        finish: "Finish",
        thanks_title: "Thank you for your answer!",
        thanks: "Your opinion helps to make the programme better.",
        change: "Change the answer (for up to one hour)",
        settled_title: "You have answered already",
        settled: "Your answer is recorded. Thank you!",
        closed_title: "This survey is not open",
        closed: "The link has expired or is not complete. Thank you for your interest!",
        unavailable_title: "Not possible right now",
        unavailable: "Please try again in a few seconds.",
        unreadable_title: "The form could not be read",
        unreadable: "Please open the link again and answer once more.",
    },
];

/// The words in a language, by its tag.
pub(crate) fn words(language: &str) -> &'static Words {
    let found = ALL.iter().find(|it| it.language == language);
    found.unwrap_or(&ALL[0])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_language_of_the_questions_has_words() {
        for words in &ALL {
            let questions = webhooks::survey::questions::newest(words.language);
            assert_eq!(questions.language, words.language);
        }
        assert_eq!(words("en").language, "en");
        assert_eq!(words("fr").language, "pt-BR");
    }

    #[test]
    fn the_hint_names_the_longest_comment() {
        let digits = |text: &str| -> String {
            let digits = text.chars().filter(char::is_ascii_digit);
            digits.collect()
        };
        let longest = webhooks::survey::COMMENT_MAX_CHARACTERS.to_string();
        for words in &ALL {
            assert_eq!(digits(words.comment_hint), longest, "{}", words.language);
        }
    }
}
