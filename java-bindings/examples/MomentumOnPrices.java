import com.fasterxml.jackson.databind.JsonNode;
import io.e2bridge.AgentResult;
import io.e2bridge.E2B;
import java.util.ArrayList;
import java.util.List;
import java.util.Locale;
import java.util.Map;

/** Runs two trading agents on prices that are given with the call. */
public final class MomentumOnPrices {
    private MomentumOnPrices() {}

    public static void main(String[] arguments) {
        // Two years that rise and then fall.
        List<Double> closes = new ArrayList<>();
        double close = 100;
        for (int day = 0; day < 504; day++) {
            close *= day < 300 ? 1.002 : 0.998;
            closes.add(close);
        }
        try (E2B e2b = E2B.open()) {
            String sandbox = e2b.createE2BSandbox("agents", "base").sandboxId();
            for (String agent : List.of("buy_and_hold", "momentum")) {
                AgentResult run = e2b.runE2BAgent(sandbox, agent, List.of("ACME"), Map.of("prices", Map.of("ACME", closes)), false);
                JsonNode figures = run.result().get("ACME");
                System.out.printf(Locale.ROOT, "%s %s: total return %.1f %%%n", agent, run.status(),
                        100 * figures.get("total_return").doubleValue());
            }
        }
    }
}
