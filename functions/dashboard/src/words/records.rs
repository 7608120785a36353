//! Texts of the pages of events, coupons and members.

use super::words;

words! {
    /// Words of the pages of events, coupons and members, and of the search.
    Records {
        timeframe: "Days", "Dias";
        search: "Search", "Buscar";
        search_label: "Coupon code, member id or key", "Código do cupom, id do membro ou chave";
        nothing_found:
            "Nothing has this code, id or key. The search covers codes of games in the last 30 days.",
            "Nada tem este código, id ou chave. Códigos de jogos são procurados nos últimos 30 dias.";
        several_found: "Several things have this name:", "Vários itens têm este nome:";
        no_events:
            "No event fits. Choose more days or fewer filters.",
            "Nenhum evento corresponde. Escolha mais dias ou menos filtros.";
        no_events_so_far:
            "No event fits among those looked at so far. Older ones follow.",
            "Nenhum evento corresponde entre os já vistos. Continue com os mais antigos.";
        time: "Time", "Horário";
        event: "Event", "Evento";
        coupon: "Coupon", "Cupom";
        member: "Member", "Membro";
        code: "Code", "Código";
        reward: "Reward", "Recompensa";
        location: "Location", "Local";
        coupon_now: "Coupon now", "Cupom agora";
        task: "Task", "Tarefa";
        tasks: "Tasks", "Tarefas";
        tenant: "Tenant", "Empresa";
        any: "All", "Todos";
        kind: "Type", "Tipo";
        older: "Older events", "Eventos mais antigos";
        show: "Show", "Mostrar";
        reset: "Reset", "Limpar";
        key: "Key", "Chave";
        expires: "Expires", "Expira";
        stock: "Stock", "Estoque";
        reserved_until: "{} reserved until {}", "{} reservado até {}";
        released_at: "Nothing is reserved since {}", "Nada reservado desde {}";
        to_do: "What you can do", "O que pode ser feito";
        why_missing:
            "A task left no record: its message waits in a queue, or is lost. This command sends it again:",
            "Uma tarefa não deixou registro: a mensagem espera numa fila ou se perdeu. Isto a reenvia:";
        why_failed:
            "Once you have fixed the cause, this command tries again:",
            "Depois de corrigir a causa, isto tenta de novo o que falhou:";
        why_given_up:
            "Nobody has tried it for long. These commands list the dead letters and send them again:",
            "Ninguém tenta há muito tempo. Estes listam e reenviam o que foi abandonado:";
        why_conflict:
            "Another body contradicts the recorded one. This command shows both:",
            "Outro corpo contradiz o registrado. Isto mostra os dois:";
        stack_note:
            "The commands act on this machine's system. For a stack on AWS, add --stack and its name.",
            "Os comandos agem no sistema desta máquina. Na AWS, acrescente --stack e o nome da stack.";
        findings: "Findings", "Suspeitas";
        trial: "Trial", "Teste";
        occurred: "Occurred", "Ocorreu";
        received: "received", "recebido";
        state: "State", "Situação";
        attempts: "Attempts", "Tentativas";
        result: "Result", "Resultado";
        finished: "Finished", "Terminou";
        causes_none: "This event causes no task.", "Este evento não causa tarefas.";
        unreadable_body: "The body cannot be read any more.", "O corpo não pode mais ser lido.";
        outbox_waits:
            "SQS did not take the message. The outbox sends it within a minute.",
            "A SQS não aceitou a mensagem. A caixa de saída a envia em um minuto.";
        conflicts: "Conflicts", "Conflitos";
        conflicts_note:
            "Another body contradicts the recorded one. The recorded one counts.",
            "Outro corpo contradiz o registrado. Vale o registrado.";
        masked_note:
            "This token may not see personal data: the page masks names and addresses.",
            "Este token não pode ver dados pessoais: nomes e contatos aparecem mascarados.";
        flags: "Flags", "Marcações";
        flag_open: "open", "aberta";
        flag_cleared: "cleared", "encerrada";
        clear_flag_note:
            "After an investigation, this command clears the flags:",
            "Depois que alguém as verificar, isto encerra as marcações:";
        profile: "Profile", "Perfil";
        no_profile:
            "Analytics has counted no event of this member.",
            "Nada foi contado deste membro ainda.";
        name: "Name", "Nome";
        email: "E-mail", "E‑mail";
        phone: "Phone", "Telefone";
        tier: "Tier", "Nível";
        contact: "Contact", "Contato";
        no_contact: "The member has no contact.", "Nenhum contato conhecido.";
        do_not_contact: "Wants no messages", "Não quer mensagens";
        forgotten: "The data were erased", "Os dados foram apagados";
        redemptions: "Redemptions", "Resgates";
        uses: "Uses", "Usos";
        points: "Points spent", "Pontos gastos";
        money_saved: "Money saved", "Economia";
        first_redemption: "First redemption", "Primeiro resgate";
        last_redemption: "Last redemption", "Último resgate";
        preferred: "Preferred category", "Categoria preferida";
        frequency: "Redemptions in 30 days", "Resgates em 30 dias";
        coupons: "Coupons", "Cupons";
        no_coupons: "The member has no coupon.", "Não há cupons.";
        more_coupons:
            "The member has more coupons than the page shows.",
            "Há mais cupons do que os mostrados.";
        redeemed: "Redeemed", "Resgatado";
        active: "active", "ativo";
        used: "used", "usado";
        cancelled: "cancelled", "cancelado";
        expired: "expired", "expirado";
        is_redeemed: "Redeemed", "Resgatado";
        is_used: "Used", "Usado";
        is_cancelled: "Cancelled", "Cancelado";
        is_expired: "Expired", "Expirado";
        is_expiring: "Expires soon", "Expira em breve";
        is_enrolled: "Member enrolled", "Membro cadastrado";
        is_registered: "Member registered", "Membro registrado";
        is_other: "Event", "Evento";
        delivery: "Delivery", "Entrega";
        inventory: "Inventory", "Estoque";
        fraud: "Fraud check", "Antifraude";
        analytics: "Figures", "Números";
        surveys: "Survey", "Pesquisa";
        record_account: "account", "conta";
        record_email: "email", "e-mail";
        record_reminder: "reminder", "lembrete";
        record_forward: "forward", "servidor do jogo";
        record_grant: "grant", "itens no jogo";
        record_contact: "contact", "contato";
        record_ask: "ask", "pergunta";
        record_answer: "answer", "resposta";
        record_alert: "alert", "alerta";
        state_done: "done", "feita";
        state_skipped: "skipped", "ignorada";
        state_waiting: "waiting", "aguardando";
        state_underway: "in progress", "em andamento";
        state_missing: "no record", "sem registro";
        state_failed: "failed", "falhou";
        medium: "medium", "média";
        high: "high", "alta";
        critical: "critical", "crítica";
        of_code: "Redeemed {} times as a code", "Resgatado {} vezes como código";
    }
}
