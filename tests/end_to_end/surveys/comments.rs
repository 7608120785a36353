//! Members' comments on the dashboard.

use super::*;

/// The dashboard lists comments as text, finds a part of one, and shows them to their tenant alone.
#[tokio::test(flavor = "multi_thread")]
async fn comments_are_listed_and_found_on_the_dashboard() {
    let tokens = (
        "ReportTokens",
        "of-all, comp_bella_vista=of-bella, comp_soho=of-soho",
    );
    in_a_shop_with(&[NO_NIGHT, BY_MAIL, tokens], async |shop| {
        for (code, member) in [("CP-1", "ana"), ("CP-2", "bia"), ("CP-3", "caio")] {
            visit(shop, code, member).await;
        }
        pass(shop, DUE).await;
        let form = ("content-type", "application/x-www-form-urlencoded");
        for (member, body) in [
            (
                "ana",
                "rating=1&recommend=2&comment=A+pizza+%3Cb%3Eveio%3C%2Fb%3E+fria",
            ),
            ("bia", "rating=5&recommend=10&comment=Tudo+bom"),
            ("caio", "rating=3"),
        ] {
            let page = format!("/surveys/{}", asked(shop, member)[0]);
            let answered = shop.visit("POST", &page, &[form], body).await;
            assert_eq!(answered.status, 303, "{member}: {}", answered.text);
        }
        let bella = shop.sign_in("of-bella").await;
        let overview = shop.page(&bella, "/dashboard").await;
        assert!(overview.text.contains("href=\"/dashboard/answers\""));
        let page = shop.page(&bella, "/dashboard/answers").await;
        assert_eq!(page.status, 200, "{}", page.text);
        assert!(
            page.text
                .contains("A pizza &#60;b&#62;veio&#60;/b&#62; fria")
        );
        assert!(page.text.contains("Tudo bom"));
        assert!(!page.text.contains("CP-3"), "without a comment");
        for (query, found) in [
            ("search=VEIO", vec!["CP-1"]),
            ("search=quente", vec![]),
            ("search=tudo", vec!["CP-2"]),
            ("search=PIZZA&rating=", vec!["CP-1"]),
            ("rating=1&answers=commented", vec!["CP-1"]),
            ("answers=all", vec!["CP-1", "CP-2", "CP-3"]),
            ("answers=all&rating=3", vec!["CP-3"]),
            ("from=2020-01-01&to=2020-02-01&timeframe=7d", vec![]),
        ] {
            let path = format!("/dashboard/answers?{query}");
            let page = shop.page(&bella, &path).await;
            assert_eq!(page.status, 200, "{query}");
            let codes = ["CP-1", "CP-2", "CP-3"].into_iter();
            let codes: Vec<_> = codes.filter(|it| page.text.contains(it)).collect();
            assert_eq!(codes, found, "{query}: {}", page.text);
        }
        let file = shop
            .page(&bella, "/dashboard/csv/answers.csv?answers=all")
            .await;
        assert_eq!(file.text.lines().count(), 4, "{}", file.text);
        let wrong = shop.page(&bella, "/dashboard/answers?rating=6").await;
        assert_eq!(wrong.status, 400);
        let soho = shop.sign_in("of-soho").await;
        for path in [
            "/dashboard/answers?answers=all",
            "/dashboard/csv/answers.csv",
        ] {
            let page = shop.page(&soho, path).await;
            assert!(!page.text.contains("CP-"), "{path}: {}", page.text);
            assert!(!page.text.contains(COMPANY), "{path}: {}", page.text);
        }
        let foreign = "/dashboard/answers?tenant=comp_bella_vista";
        assert_eq!(shop.page(&soho, foreign).await.status, 404);
        assert_eq!(shop.page("", "/dashboard/answers").await.status, 303);
    })
    .await;
}
