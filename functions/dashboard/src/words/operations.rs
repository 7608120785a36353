//! Texts of the page of operations.

use super::words;

words! {
    /// Words of the page for the person on call.
    Operations {
        queue: "Queue", "Fila";
        queues: "Queues", "Filas";
        waiting: "Waiting", "Aguardando";
        in_flight: "In progress", "Em processamento";
        delayed: "Delayed", "Adiadas";
        dead_letters: "Dead letters", "Mensagens abandonadas";
        no_dead_letters: "No task has given up a message.", "Nenhuma mensagem foi abandonada.";
        no_event: "no readable event", "nenhum evento legível";
        redrive_note:
            "Once you have fixed the cause, this command sends them again:",
            "Depois de corrigir a causa, isto as envia de novo:";
        safety_nets: "Safety nets", "Redes de segurança";
        outbox:
            "Outbox: SQS refused the events' message",
            "Caixa de saída (outbox): eventos cuja mensagem a SQS recusou";
        outbox_oldest: "Oldest event in the outbox", "Evento mais antigo na caixa de saída";
        set_aside:
            "Set aside: events that DynamoDB refused",
            "Postos de lado: eventos que o DynamoDB recusou";
        drift_check: "Last drift check", "Última verificação de desvios";
        drift_found: "{}: {} of {} counters differ", "{}: {} de {} contadores diferem";
        drift_none: "never", "nunca";
        error_rates: "Error rates of the last day", "Taxas de erro do último dia";
        rates_of_all:
            "Counted in the records of all events of the last 24 hours: {}.",
            "Contadas nos registros de todos os eventos das últimas 24 horas: {}.";
        rates_of_newest:
            "Counted in the records of the newest {} events. The oldest of them happened at {}.",
            "Contadas nos registros dos {} eventos mais novos. O mais antigo deles é de {}.";
        no_rates:
            "There was no event in the last 24 hours.",
            "Não houve eventos nas últimas 24 horas.";
        total: "Events", "Eventos";
        failed: "Failed", "Falharam";
        open: "Open", "Em aberto";
        rate: "Error rate", "Taxa de erro";
        task: "Task", "Tarefa";
        stack_note:
            "The commands act on this machine's system. For a stack on AWS, add --stack and its name.",
            "Os comandos agem no sistema desta máquina. Na AWS, acrescente --stack e o nome da stack.";
    }
}
