//! Texts that several pages share.

use super::words;

words! {
    /// Words of the frame, of the sign-in and of the answers to errors.
    Common {
        product: "Coupons", "Cupons";
        skip: "Skip to the content", "Pular para o conteúdo";
        navigation: "Pages", "Páginas";
        overview: "Overview", "Visão geral";
        events: "Events", "Eventos";
        operations: "Operations", "Operação";
        all_tenants: "all tenants", "todas as empresas";
        seen: "You see:", "Você vê:";
        sign_out: "Sign out", "Sair";
        sign_in: "Sign in", "Entrar";
        token: "Token", "Token";
        token_hint:
            "One of the reports' tokens. The secret ReportingTokens has them.",
            "Um dos tokens dos relatórios. Eles estão no segredo ReportingTokens.";
        wrong_token:
            "This token is not valid. Check that you copied all of it.",
            "Este token não é válido. Verifique se você copiou o token inteiro.";
        too_many_tries:
            "Too many wrong tokens came from your address. Try again in {} seconds.",
            "Vieram tokens errados demais do seu endereço. Tente de novo em {} segundos.";
        signed_out: "You are signed out.", "Você saiu.";
        other_site:
            "This form came from another site. Sign in here.",
            "Este formulário veio de outro site. Entre por aqui.";
        going_on: "Going on", "Continuando";
        go_on: "Go on to the page", "Continuar para a página";
        not_found: "Page not found", "Página não encontrada";
        not_found_text:
            "There is no such page, or you may not see it. Check the address, or go to the overview.",
            "Esta página não existe, ou você não pode vê-la. Verifique o endereço ou volte à visão geral.";
        invalid: "The address has a mistake", "O endereço tem um erro";
        invalid_text:
            "The page cannot read these parameters:",
            "Estes parâmetros não podem ser lidos:";
        too_large: "The answer is too long", "A resposta é longa demais";
        too_large_text:
            "Choose fewer days, or one tenant.",
            "Escolha menos dias ou uma só empresa.";
        unreadable: "The request cannot be read", "O pedido não pode ser lido";
        unavailable: "Not available now", "Indisponível agora";
        unavailable_text:
            "The figures cannot be read now. Try again in a few seconds.",
            "Os números não podem ser lidos agora. Tente de novo em alguns segundos.";
        try_again: "Try again", "Tentar de novo";
        to_overview: "To the overview", "Para a visão geral";
        choose: "Choose a tenant", "Escolha uma empresa";
        choose_text:
            "There are {} tenants here, more than one page can show together. Choose one of them.",
            "Há {} empresas aqui, mais do que uma página pode mostrar juntas. Escolha uma delas.";
        choose_more: "The list leaves out {} more: type the name.", "Mais {} não estão na lista: digite o nome.";
        tenant: "Tenant", "Empresa";
        show: "Show", "Mostrar";
        table: "Table", "Tabela";
        csv: "CSV", "CSV";
        rows: "Events", "Eventos";
        unknown: "not stated", "não informado";
    }
}
