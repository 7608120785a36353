//! Texts of the overview.

use super::words;

words! {
    /// Words of the overview.
    Overview {
        period: "Period", "Período";
        today: "Today", "Hoje";
        days_7: "7 days", "7 dias";
        days_30: "30 days", "30 dias";
        months_12: "12 months", "12 meses";
        from: "From", "De";
        to: "To", "Até";
        on_day: "On one day", "Em um dia";
        tenant: "Tenant", "Empresa";
        provider: "Provider", "Provedor";
        every: "all", "todos";
        comparison: "Comparison", "Comparação";
        with_previous: "the period before", "o período anterior";
        with_year: "the year before", "o ano anterior";
        with_none: "none", "nenhuma";
        show: "Show", "Mostrar";
        compared_with: "Compared with {}", "Comparado com {}";
        incomplete:
            "Some days of that period are no longer kept.",
            "Alguns dias desse período não são mais guardados.";
        in_zone: "Days are those of {}.", "Os dias são os de {}.";
        as_of: "As of {}.", "Dados de {}.";
        totals: "Totals", "Totais";
        redemptions: "Redemptions", "Resgates";
        uses: "Uses", "Usos";
        points: "Points spent", "Pontos gastos";
        discount: "Discount given", "Desconto dado";
        in_currency: "in {}", "em {}";
        new: "new", "novo";
        unchanged: "unchanged", "sem mudança";
        before: "before: {}", "antes: {}";
        by_day: "Redemptions and uses by day", "Resgates e usos por dia";
        by_month: "Redemptions and uses by month", "Resgates e usos por mês";
        day: "Day", "Dia";
        month: "Month", "Mês";
        line_is: "Line: redemptions", "Linha: resgates";
        bars_are: "Bars: uses", "Barras: usos";
        conversion: "Conversion by reward", "Conversão por recompensa";
        reward: "Reward", "Recompensa";
        redeemed: "Redeemed", "Resgatados";
        used: "Used", "Usados";
        rate: "Conversion", "Conversão";
        cancelled: "Cancelled", "Cancelados";
        expired: "Expired", "Expirados";
        time_to_use: "Time from redemption to use", "Tempo do resgate ao uso";
        time: "Time", "Tempo";
        median: "Half of the uses came within {}", "Metade dos usos veio em até {}";
        p90: "nine of ten within {}", "nove de dez em até {}";
        up_to_hour: "up to 1 hour", "até 1 hora";
        hours_1_6: "1 to 6 hours", "de 1 a 6 horas";
        hours_6_24: "6 to 24 hours", "de 6 a 24 horas";
        days_1_3: "1 to 3 days", "de 1 a 3 dias";
        days_3_7: "3 to 7 days", "de 3 a 7 dias";
        days_7_30: "7 to 30 days", "de 7 a 30 dias";
        over_30_days: "more than 30 days", "mais de 30 dias";
        by_location: "Uses by location", "Usos por local";
        location: "Location", "Local";
        average_order: "Average order", "Pedido médio";
        by_platform: "Uses by platform", "Usos por plataforma";
        platform: "Platform", "Plataforma";
        by_hour: "By hour of the day", "Por hora do dia";
        hour: "Hour", "Hora";
        by_weekday: "By day of the week", "Por dia da semana";
        weekday: "Weekday", "Dia da semana";
        deliveries: "Delivery by channel", "Entrega por canal";
        channel: "Channel", "Canal";
        result: "Result", "Resultado";
        sent: "Sent", "Enviados";
        skipped: "Skipped", "Ignorados";
        failed: "Failed", "Com falha";
        account: "Account", "Conta";
        email: "E-mail", "E‑mail";
        whatsapp: "WhatsApp message", "Mensagem de WhatsApp";
        sms: "SMS", "SMS";
        forward: "Game server", "Servidor do jogo";
        latest_findings: "Latest findings", "Últimas suspeitas";
        all_findings: "Findings by rule", "Suspeitas por regra";
        at: "Time", "Hora";
        coupon: "Coupon", "Cupom";
        severity: "Severity", "Gravidade";
        critical: "critical", "crítica";
        high: "high", "alta";
        medium: "medium", "média";
        details: "Details", "Detalhes";
        surveys: "Surveys", "Pesquisas";
        rating: "Rating", "Nota";
        answers: "Answers", "Respostas";
        comments: "Comments", "Comentários";
        average_rating: "Average rating", "Nota média";
        of_five: "of 5", "de 5";
        nps: "Net promoter score", "Net Promoter Score (NPS)";
        margin: "± {} ({} answers)", "± {} ({} respostas)";
        response_rate: "Response rate", "Taxa de resposta";
        answered_of: "{} of {} sent", "{} de {} enviadas";
        rule: "Rule", "Regra";
        count: "Count", "Quantidade";
        low_stock: "Low stock", "Estoque baixo";
        product: "Product", "Produto";
        on_hand: "On hand", "Em estoque";
        threshold: "Threshold", "Limite";
        level: "Level", "Nível";
        below_zero: "below zero", "abaixo de zero";
        is_low: "low", "baixo";
        more_latest:
            "More tenants have findings. Choose one to see its own.",
            "Mais empresas têm suspeitas. Escolha uma para ver as dela.";
        low_unread:
            "There are many products. Choose a tenant to see those that are low.",
            "Há muitos produtos. Escolha uma empresa para ver os que estão baixos.";
        no_low_stock: "No counted product is low.", "Nenhum produto contado está baixo.";
        alerts: "Alerts in this period: {}", "Alertas neste período: {}";
        no_uses: "No coupon was used in this period.", "Nenhum cupom foi usado neste período.";
        no_redemptions:
            "No coupon was redeemed in this period.",
            "Nenhum cupom foi resgatado neste período.";
        no_findings: "No rule found anything.", "Nenhuma regra encontrou nada.";
        no_deliveries: "No delivery was counted.", "Nenhuma entrega foi contada.";
        more: "{} more are in the CSV.", "Mais {} estão no CSV.";
        empty_title: "No event has arrived so far", "Nada foi recebido ainda";
        empty_text:
            "As soon as a provider sends its first coupon, its figures appear here.",
            "Assim que um provedor enviar o primeiro cupom, os números aparecem aqui.";
        empty_register:
            "Register this system's webhook URLs with Zupy or Aghanim. The output WebhookUrl of the stack has them.",
            "Cadastre as URLs de webhook deste sistema na Zupy ou na Aghanim. A saída WebhookUrl da pilha as tem.";
        empty_try:
            "On your own machine, send a sample in another terminal:",
            "Na sua máquina, envie uma amostra em outro terminal:";
        empty_period:
            "Nothing happened in this period. Choose a longer one.",
            "Nada aconteceu neste período. Escolha um período maior.";
    }
}
