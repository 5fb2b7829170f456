package io.e2bridge;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertNotNull;
import static org.junit.jupiter.api.Assertions.assertTrue;

import com.fasterxml.jackson.databind.JsonNode;
import java.nio.charset.StandardCharsets;
import java.time.LocalDate;
import java.util.List;
import java.util.Map;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/** Trading agents inside a sandbox. */
class AgentTest extends EngineTest {
    /** Parameters as a record. */
    public record Parameters(Map<String, List<Double>> prices, int lookback) {}

    private String sandbox;

    @BeforeEach
    void create() {
        sandbox = base();
    }

    @AfterEach
    void terminate() {
        end(sandbox);
    }

    /** A price file of a number of days: up, down, up. */
    static byte[] prices(int days) {
        StringBuilder csv = new StringBuilder("date,close\n");
        double price = 100;
        for (int i = 0; i < days; i++) {
            price *= i / 20 % 2 == 0 ? 1.01 : 0.995;
            csv.append(LocalDate.of(2024, 1, 1).plusDays(i)).append(',').append(price).append('\n');
        }
        return csv.toString().getBytes(StandardCharsets.UTF_8);
    }

    @Test
    void theCallThatTheReferenceRefused() {
        e2b().writeE2BFile(sandbox, "/data/SPY.csv", prices(250));
        AgentResult result = Documents.read(e2b().runE2BAgent(sandbox, "momentum", List.of("SPY"), false));
        assertId("agt", result.agentId());
        assertEquals(sandbox, result.sandboxId());
        assertEquals("completed", result.status(), result.json().toString());
        assertEquals("momentum", result.agentType());
        assertEquals(List.of("SPY"), result.symbols());
        JsonNode figures = result.result().get("SPY");
        for (String key : List.of("trades", "final_position", "total_return", "cagr", "sharpe", "max_drawdown", "equity_curve")) {
            assertTrue(figures.has(key), key + " is missing in " + figures.toString().substring(0, Math.min(300, figures.toString().length())));
        }
    }

    @Test
    void buyAndHoldIsLastOverFirst() {
        AgentResult result = Documents.read(e2b().runE2BAgent(
                sandbox, "buy_and_hold", List.of("A"), Map.of("prices", Map.of("A", List.of(100, 110, 121))), null));
        assertEquals("completed", result.status(), result.json().toString());
        assertEquals(0.21, result.result().get("A").get("total_return").doubleValue(), 1e-9);
    }

    @ParameterizedTest
    @ValueSource(strings = {"momentum", "mean_reversion", "moving_average_crossover", "kelly", "buy_and_hold"})
    void theBuiltInOnesRun(String agent) {
        e2b().writeE2BFile(sandbox, "/data/X.csv", prices(300));
        assertEquals("completed", e2b().runE2BAgent(sandbox, agent, List.of("X")).status());
    }

    @Test
    void pairsTakesTwo() {
        e2b().writeE2BFile(sandbox, "/data/X.csv", prices(300));
        e2b().writeE2BFile(sandbox, "/data/Y.csv", prices(300));
        assertEquals("completed", Documents.read(e2b().runE2BAgent(sandbox, "pairs", List.of("X", "Y"), false)).status());
    }

    @Test
    void parametersAsRecordAndText() {
        List<Double> prices = java.util.stream.DoubleStream.iterate(100, p -> p * 1.001).limit(100).boxed().toList();
        assertEquals("completed",
                e2b().runE2BAgent(sandbox, "momentum", List.of("A"), new Parameters(Map.of("A", prices), 5), false).status());
        assertEquals("completed",
                e2b().runE2BAgent(sandbox, "buy_and_hold", List.of("A"), "{\"prices\":{\"A\":[1,2,3]}}", Boolean.FALSE).status());
    }

    @Test
    void aCustomAgentIsLookedUpInTheSandbox() {
        fails(E2BErrorCode.NOT_FOUND, () -> e2b().runE2BAgent(sandbox, "mine", List.of("A"), Map.of("prices", Map.of("A", List.of(1, 2))), null));
    }

    @Test
    void withoutPricesTheErrorSaysBothWays() {
        E2BException e = fails(E2BErrorCode.INVALID_ARGUMENT, () -> e2b().runE2BAgent(sandbox, "momentum", List.of("SPY"), false));
        assertTrue(e.getMessage().contains("strategy_params.prices") && e.getMessage().contains("/data/SPY.csv"), e.getMessage());
    }

    @Test
    void badArgumentsAreNamed() {
        Object[] none = {List.of(), Boolean.FALSE, "[]", 1};
        for (Object parameters : none) {
            fails(E2BErrorCode.INVALID_ARGUMENT, "strategy_params", () -> e2b().runE2BAgent(sandbox, "momentum", List.of("A"), parameters, false));
        }
        fails(E2BErrorCode.INVALID_ARGUMENT, "strategy_params.prices.A[1]", () -> e2b().runE2BAgent(
                sandbox, "momentum", List.of("A"), Map.of("prices", Map.of("A", List.of(1, Double.NaN))), false));
        fails(E2BErrorCode.INVALID_ARGUMENT, "symbols", () -> e2b().runE2BAgent(sandbox, "momentum", null));
        fails(E2BErrorCode.INVALID_ARGUMENT, "symbols", () -> e2b().runE2BAgent(sandbox, "momentum", List.of()));
        fails(E2BErrorCode.INVALID_ARGUMENT, "symbols[1]", () -> e2b().runE2BAgent(sandbox, "momentum", List.of("A", "../B")));
        fails(E2BErrorCode.INVALID_ARGUMENT, "agent_type", () -> e2b().runE2BAgent(sandbox, "../x", List.of("A")));
    }

    @Test
    void aGpuThatTheSandboxCannotReachIsUnsupported() {
        e2b().writeE2BFile(sandbox, "/data/A.csv", prices(30));
        E2BException e = fails(E2BErrorCode.UNSUPPORTED, () -> e2b().runE2BAgent(sandbox, "momentum", List.of("A"), true));
        assertNotNull(e.getMessage());
    }
}
