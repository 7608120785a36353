//! Texts of the page of answers to surveys.

use super::words;

words! {
    /// Words of the page of answers.
    Answers {
        title: "Answers to surveys", "Respostas às pesquisas";
        search: "Part of the comment", "Parte do comentário";
        rating: "Rating", "Nota";
        any_rating: "All ratings", "Todas as notas";
        which: "Answers", "Respostas";
        with_comment: "with a comment", "com comentário";
        every: "all", "todas";
        answered_at: "Answered", "Respondida";
        recommend: "Recommends, 0 to 10", "Recomenda, 0 a 10";
        comment: "Comment", "Comentário";
        staff: "Staff", "Atendente";
        none:
            "No answer fits. Choose more days or fewer filters.",
            "Nenhuma resposta corresponde. Escolha mais dias ou menos filtros.";
        none_so_far:
            "No answer fits among those looked at so far. Older ones follow.",
            "Nenhuma resposta corresponde entre as já vistas. Continue com as mais antigas.";
        older: "Older answers", "Respostas mais antigas";
    }
}
