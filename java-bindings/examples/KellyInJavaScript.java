import io.e2bridge.CodeResult;
import io.e2bridge.E2B;

/** Runs code in a warm interpreter: the result, what it printed, and an exception are all in the answer. */
public final class KellyInJavaScript {
    private static final String KELLY = """
            function kellyFraction(winProbability, odds) {
              return (winProbability * odds - (1 - winProbability)) / odds;
            }
            const fraction = kellyFraction(0.55, 2.0);
            console.log('fraction ' + fraction.toFixed(3));
            10000 * Math.max(0, fraction)
            """;

    private KellyInJavaScript() {}

    public static void main(String[] arguments) {
        try (E2B e2b = E2B.open()) {
            String sandbox = e2b.createE2BSandbox("kelly", "base").sandboxId();

            CodeResult kelly = e2b.runE2BCode(sandbox, "javascript", KELLY);
            System.out.print(kelly.stdout());
            System.out.println("bet " + Math.round(Double.parseDouble(kelly.result())) + " of 10000");

            CodeResult broken = e2b.runE2BCode(sandbox, "javascript", "kellyFraction(0.55, 2.0)");
            System.out.println("without a context nothing is kept: " + broken.error().name());

            e2b.runE2BCode(sandbox, "javascript", "var bankroll = 10000", "session");
            CodeResult kept = e2b.runE2BCode(sandbox, "javascript", "bankroll * 0.325", "session");
            System.out.println("in a context it is: " + Math.round(Double.parseDouble(kept.result())));
        }
    }
}
