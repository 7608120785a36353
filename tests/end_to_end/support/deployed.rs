//! Commands for a deployed system.

use super::*;

#[tokio::test(flavor = "multi_thread")]
async fn the_gateways_port_alone_leads_to_the_system() {
    in_a_shop(async |shop| {
        shop.send(redeemed("CP-1")).await;
        shop.settle().await;
        let port = shop.system.gateway_url().rsplit_once(':').unwrap().1;
        let mut show = Command::new(coupons().await);
        show.args(["show", "CP-1", "--json", "--port", port]);
        assert_eq!(run(show).await.json()["coupon"], coupon("CP-1"));
    })
    .await;
}

/// CloudFormation's answer for one stack, to one request.
fn cloudformation() -> (String, std::thread::JoinHandle<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let asked = std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let mut asked = Vec::new();
        while !String::from_utf8_lossy(&asked).contains("StackName=coupons") {
            let mut buffer = [0; 4096];
            let read = stream.read(&mut buffer).unwrap();
            assert!(read > 0, "{}", String::from_utf8_lossy(&asked));
            asked.extend_from_slice(&buffer[..read]);
        }
        let resource = |kind: &str, logical_id: &str, physical_id: &str| {
            format!(
                "<member><LogicalResourceId>{logical_id}</LogicalResourceId>\
                 <PhysicalResourceId>{physical_id}</PhysicalResourceId>\
                 <ResourceType>{kind}</ResourceType></member>"
            )
        };
        let table = "AWS::DynamoDB::Table";
        let body = format!(
            "<ListStackResourcesResponse><ListStackResourcesResult><StackResourceSummaries>{}{}{}\
             </StackResourceSummaries></ListStackResourcesResult></ListStackResourcesResponse>",
            resource(table, "EventsTable", "events"),
            resource(table, "MembersTable", "members"),
            resource(table, "StockTable", "stock"),
        );
        let length = body.len();
        write!(
            stream,
            "HTTP/1.1 200 OK\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n{body}"
        )
        .unwrap();
        String::from_utf8(asked).unwrap()
    });
    (url, asked)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deployed_system_is_reached_by_its_stack_or_by_names() {
    in_a_shop(async |shop| {
        shop.send(redeemed("CP-1")).await;
        shop.settle().await;
        let by_names = deployed(shop, &["show", "CP-1", "--json", "--deployed"]).await;
        assert_eq!(run(by_names).await.json()["coupon"], coupon("CP-1"));
        let dead = deployed(shop, &["dead", "--json", "--deployed"]).await;
        assert_eq!(run(dead).await.json(), json!([]));

        let (url, asked) = cloudformation();
        let mut by_stack = deployed(shop, &["show", "CP-1", "--json", "--stack", "coupons"]).await;
        by_stack.env("AWS_ENDPOINT_URL_CLOUDFORMATION", url);
        assert_eq!(run(by_stack).await.json()["coupon"], coupon("CP-1"));
        let asked = asked.join().unwrap();
        assert!(asked.contains("Action=ListStackResources"), "{asked}");
        assert!(asked.contains("/sa-east-1/cloudformation/"), "{asked}");

        let mut nameless = deployed(shop, &["show", "CP-1", "--deployed"]).await;
        nameless.env_remove("EVENTS_TABLE");
        run(nameless).await.check_failed(&["EVENTS_TABLE"]);
        let mut elsewhere = deployed(shop, &["show", "CP-1", "--deployed"]).await;
        elsewhere.env("EVENTS_TABLE", "nothing");
        run(elsewhere)
            .await
            .check_failed(&["nothing", "ResourceNotFoundException"]);
    })
    .await;
}
