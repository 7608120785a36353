//! What each page says, as rendered.

use insta::assert_snapshot;

use super::*;

fn about(language: &str) -> About {
    About {
        questions: 1,
        language: language.into(),
        reward_name: Some("<script>alert(1)</script>".into()),
        location: Some("Centro & \"Sul\"".into()),
        staff_member: Some("Ana".into()),
        day: "2026-11-25".parse().unwrap(),
    }
}

fn answer(language: &str) -> Answer {
    let at = "2026-11-25T12:00:00Z".parse().unwrap();
    Answer {
        rating: 4,
        recommend: Some(0),
        comment: Some("</textarea><b>Frio</b>".into()),
        about: about(language),
        answered_at: at,
        changed_at: at,
    }
}

fn all(language: &str) -> Vec<String> {
    let (about, answer) = (about(language), answer(language));
    vec![
        rating(&about, Some(4), true),
        rest(&answer, true),
        thanks(&about, true),
        settled(&about),
        notice(Notice::Closed),
        notice(Notice::Unavailable),
        notice(Notice::Unreadable),
    ]
}

/// What a page shows: the contents of `main`, without blank lines.
fn main(page: &str) -> String {
    let (_, rest) = page.split_once("<main id=\"main\">").unwrap();
    let (main, _) = rest.split_once("</main>").unwrap();
    let lines = main.lines().filter(|line| !line.trim().is_empty());
    lines.collect::<Vec<_>>().join("\n")
}

#[test]
fn the_first_page_asks_for_a_rating() {
    assert_snapshot!(main(&rating(&about("en"), None, false)), @r#"
    <h1>Your opinion</h1>
    <p class="about">Coupon: &#60;script&#62;alert(1)&#60;/script&#62;</p>
    <p class="about">Location: Centro &#38; &#34;Sul&#34;</p>
    <form method="post" action="?">
    <fieldset>
    <legend>How was your experience when you used the coupon?</legend>
    <div class="choices">
    <label><input type="radio" name="rating" value="1" required> <span>1 – Very bad</span></label>
    <label><input type="radio" name="rating" value="2" required> <span>2 – Bad</span></label>
    <label><input type="radio" name="rating" value="3" required> <span>3 – Fair</span></label>
    <label><input type="radio" name="rating" value="4" required> <span>4 – Good</span></label>
    <label><input type="radio" name="rating" value="5" required> <span>5 – Very good</span></label>
    </div>
    </fieldset>
    <button type="submit">Send</button>
    </form>
    "#);
    assert_snapshot!(main(&rating(&about("pt-BR"), Some(4), true)), @r#"
    <h1>Sua opinião</h1>
    <p class="about">Cupom: &#60;script&#62;alert(1)&#60;/script&#62;</p>
    <p class="about">Local: Centro &#38; &#34;Sul&#34;</p>
    <form method="post" action="?">
    <fieldset aria-describedby="wrong">
    <legend>Como foi sua experiência ao usar o cupom?</legend>
    <p class="wrong" id="wrong" role="alert">Escolha uma nota de 1 a 5.</p>
    <div class="choices">
    <label><input type="radio" name="rating" value="1" required> <span>1 – Muito ruim</span></label>
    <label><input type="radio" name="rating" value="2" required> <span>2 – Ruim</span></label>
    <label><input type="radio" name="rating" value="3" required> <span>3 – Regular</span></label>
    <label><input type="radio" name="rating" value="4" required checked> <span>4 – Boa</span></label>
    <label><input type="radio" name="rating" value="5" required> <span>5 – Muito boa</span></label>
    </div>
    </fieldset>
    <button type="submit">Enviar</button>
    </form>
    "#);
}

#[test]
fn the_second_page_shows_the_answers_so_far() {
    assert_snapshot!(main(&rest(&answer("pt-BR"), false)), @r#"
    <h1>Sua opinião</h1>
    <p role="status">Sua nota foi salva. Se quiser, responda a mais duas perguntas.</p>
    <form method="post" action="?">
    <input type="hidden" name="step" value="rest">
    <fieldset>
    <legend>Qual a probabilidade de você recomendar nosso programa de fidelidade?</legend>
    <p class="ends"><span>0 = Nada provável</span> <span>10 = Muito provável</span></p>
    <div class="choices numbers">
    <label><input type="radio" name="recommend" value="0" checked> <span>0</span></label>
    <label><input type="radio" name="recommend" value="1"> <span>1</span></label>
    <label><input type="radio" name="recommend" value="2"> <span>2</span></label>
    <label><input type="radio" name="recommend" value="3"> <span>3</span></label>
    <label><input type="radio" name="recommend" value="4"> <span>4</span></label>
    <label><input type="radio" name="recommend" value="5"> <span>5</span></label>
    <label><input type="radio" name="recommend" value="6"> <span>6</span></label>
    <label><input type="radio" name="recommend" value="7"> <span>7</span></label>
    <label><input type="radio" name="recommend" value="8"> <span>8</span></label>
    <label><input type="radio" name="recommend" value="9"> <span>9</span></label>
    <label><input type="radio" name="recommend" value="10"> <span>10</span></label>
    </div>
    </fieldset>
    <p>
    <label class="question" for="comment">Comentários adicionais (opcional)</label>
    <textarea id="comment" name="comment" rows="5" maxlength="2000" aria-describedby="comment-hint">
    &#60;/textarea&#62;&#60;b&#62;Frio&#60;/b&#62;</textarea>
    </p>
    <p class="hint" id="comment-hint">Até 2.000 caracteres. Não escreva dados pessoais.</p>
    <button type="submit">Concluir</button>
    </form>
    "#);
}

#[test]
fn the_last_pages_say_what_was_saved() {
    assert_snapshot!(main(&thanks(&about("pt-BR"), true)), @r#"
    <h1>Obrigado pela resposta!</h1>
    <p>Sua opinião ajuda a melhorar o programa.</p>
    <p><a href="?">Mudar a resposta (por até uma hora)</a></p>
    "#);
    assert_snapshot!(main(&thanks(&about("en"), false)), @"
    <h1>Thank you for your answer!</h1>
    <p>Your opinion helps to make the programme better.</p>
    ");
    assert_snapshot!(main(&settled(&about("en"))), @"
    <h1>You have answered already</h1>
    <p>Your answer is recorded. Thank you!</p>
    ");
}

#[test]
fn a_notice_is_in_every_language() {
    assert_snapshot!(main(&notice(Notice::Closed)), @r#"
    <h1>Esta pesquisa não está aberta</h1>
    <p>O link expirou ou não está completo. Obrigado pelo interesse!</p>
    <h2 lang="en">This survey is not open</h2>
    <p lang="en">The link has expired or is not complete. Thank you for your interest!</p>
    "#);
    assert_snapshot!(main(&notice(Notice::Unavailable)), @r#"
    <h1>Não foi possível agora</h1>
    <p>Tente de novo em alguns segundos.</p>
    <h2 lang="en">Not possible right now</h2>
    <p lang="en">Please try again in a few seconds.</p>
    "#);
    assert_snapshot!(main(&notice(Notice::Unreadable)), @r#"
    <h1>O formulário não pôde ser lido</h1>
    <p>Abra o link de novo e responda mais uma vez.</p>
    <h2 lang="en">The form could not be read</h2>
    <p lang="en">Please open the link again and answer once more.</p>
    "#);
}

#[test]
fn no_text_of_others_is_markup() {
    for page in all("en") {
        for wild in ["<script", "<b>", "\"Sul\"", "& "] {
            assert!(!page.contains(wild), "{wild}: {page}");
        }
    }
}

#[test]
fn no_page_has_a_script_or_a_style_of_its_own() {
    for page in all("pt-BR") {
        for word in ["<script", "<style", " style=", "javascript:", "http"] {
            assert!(!page.contains(word), "{word}: {page}");
        }
        assert_eq!(page.matches("<h1>").count(), 1, "{page}");
        assert_eq!(page.matches("<main").count(), 1, "{page}");
    }
}

#[test]
fn a_page_names_the_language_that_was_asked_in() {
    for language in ["en", "pt-BR"] {
        let named = format!("<html lang=\"{language}\">");
        for page in [
            rating(&about(language), None, false),
            rest(&answer(language), false),
            thanks(&about(language), true),
            settled(&about(language)),
        ] {
            assert!(page.contains(&named), "{page}");
        }
    }
}

#[test]
fn one_choice_is_chosen_at_most() {
    let chosen = |page: &str| page.matches(" checked").count();
    assert_eq!(chosen(&rating(&about("en"), None, false)), 0);
    assert_eq!(chosen(&rating(&about("en"), Some(9), false)), 0);
    assert_eq!(chosen(&rating(&about("en"), Some(4), false)), 1);
    assert_eq!(chosen(&rest(&answer("en"), false)), 1);
}
