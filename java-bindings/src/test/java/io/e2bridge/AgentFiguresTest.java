package io.e2bridge;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import com.fasterxml.jackson.core.type.TypeReference;
import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.stream.Stream;
import java.util.stream.StreamSupport;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.Arguments;
import org.junit.jupiter.params.provider.MethodSource;

/**
 * The built-in agents on real prices against figures computed elsewhere (numpy, {@code reference.py} beside the fixture, which names
 * the formulas), and custom agents in each language.
 */
class AgentFiguresTest extends EngineTest {
    private static final ObjectMapper MAPPER = new ObjectMapper();
    private static final Path FIXTURE = Path.of("../rust/crates/agents/programs/test/expected.json");
    private static final Path PRICES = Path.of("examples/data");

    private final List<String> sandboxes = new ArrayList<>();

    @AfterEach
    void terminate() {
        sandboxes.forEach(EngineTest::end);
    }

    private String sandbox(String template) {
        String sandbox = engine().sandbox(template);
        sandboxes.add(sandbox);
        return sandbox;
    }

    static Stream<Arguments> cases() throws IOException {
        JsonNode cases = MAPPER.readTree(FIXTURE.toFile()).path("cases");
        assertTrue(cases.size() >= 19, cases.size() + " cases");
        return StreamSupport.stream(cases.spliterator(), false).map(one -> Arguments.of(one.path("name").asText(), one));
    }

    @ParameterizedTest(name = "{0}")
    @MethodSource("cases")
    void equalTheIndependentComputation(String name, JsonNode one) throws IOException {
        String sandbox = sandbox("base");
        List<String> symbols = MAPPER.convertValue(one.path("symbols"), new TypeReference<>() {});
        for (String symbol : symbols) {
            Path file = PRICES.resolve(symbol.equals("SP500") ? "sp500.csv" : symbol + ".csv");
            if (Files.exists(file)) {
                e2b().writeE2BFile(sandbox, "/data/" + symbol + ".csv", Files.readAllBytes(file));
            }
        }
        AgentResult result = e2b().runE2BAgent(sandbox, one.path("agent_type").asText(), symbols, one.path("params"), false);
        assertEquals("completed", result.status(), () -> String.valueOf(result.error()));
        one.path("expected").fields().forEachRemaining(entry ->
                compare(result.result().path(entry.getKey()), entry.getValue(), name + ": " + entry.getKey()));
    }

    /** The fixture's own rule: numbers within 1e-9 of the expected one; keys that it does not name are not compared. */
    private static void compare(JsonNode got, JsonNode expected, String at) {
        expected.fields().forEachRemaining(entry -> {
            String key = entry.getKey();
            JsonNode want = entry.getValue();
            String where = at + "." + key;
            switch (key) {
                case "equity_sum" -> close(StreamSupport.stream(got.path("equity_curve").spliterator(), false)
                        .mapToDouble(JsonNode::doubleValue).sum(), want, where);
                case "equity_at" -> want.fields().forEachRemaining(point -> close(
                        got.path("equity_curve").path(Integer.parseInt(point.getKey())).doubleValue(), point.getValue(), where + "." + point.getKey()));
                case "first_trade" -> compareValue(got.path("trades").path(0), want, where);
                case "last_trade" -> compareValue(got.path("trades").path(got.path("trades").size() - 1), want, where);
                default -> compareValue(got.path(key), want, where);
            }
        });
    }

    private static void compareValue(JsonNode got, JsonNode want, String at) {
        if (want.isObject()) {
            compare(got, want, at);
        } else if (want.isNumber()) {
            assertTrue(got.isNumber(), at + " is " + got);
            close(got.doubleValue(), want, at);
        } else {
            assertEquals(want, got, at);
        }
    }

    private static void close(double got, JsonNode want, String at) {
        double expected = want.doubleValue();
        assertTrue(Math.abs(got - expected) <= 1e-9 * Math.abs(expected), () -> at + ": got " + got + ", expected " + expected);
    }

    @ParameterizedTest
    @MethodSource("customAgents")
    void aCustomAgentGetsItsInputAndAnswers(String template, String file, String source) throws IOException {
        String sandbox = sandbox(template);
        e2b().writeE2BFile(sandbox, file, source.getBytes(StandardCharsets.UTF_8));
        e2b().writeE2BFile(sandbox, "/data/IBM.csv", Files.readAllBytes(PRICES.resolve("IBM.csv")));
        AgentResult result = e2b().runE2BAgent(sandbox, "last_close", List.of("IBM"), Map.of("factor", 2), false);
        assertEquals("completed", result.status(), () -> String.valueOf(result.json()));
        assertEquals("looking at IBM\n", result.stdout());
        List<String> lines = Files.readAllLines(PRICES.resolve("IBM.csv"));
        double lastClose = Double.parseDouble(lines.getLast().split(",")[1]);
        assertEquals(2 * lastClose, result.result().path("IBM").doubleValue(), 1e-9 * lastClose);
        // Nothing of the hand-over of input and answer is left.
        assertEquals("", e2b().executeE2BProcess(sandbox, "ls -A /tmp", null, 10, true).stdout());
    }

    static Stream<Arguments> customAgents() {
        String javascript = """
                function agent(input) {
                  console.log('looking at ' + input.symbols.join());
                  const prices = input.prices[input.symbols[0]];
                  const last = prices[prices.length - 1];
                  return { [input.symbols[0]]: input.params.factor * (last.close ?? last) };
                }
                """;
        String python = """
                def agent(input):
                    print('looking at ' + ','.join(input['symbols']))
                    last = input['prices'][input['symbols'][0]][-1]
                    return {input['symbols'][0]: input['params']['factor'] * (last['close'] if isinstance(last, dict) else last)}
                """;
        return Stream.of(
                Arguments.of("base", "/opt/agents/last_close.js", javascript),
                Arguments.of("node", "/opt/agents/last_close.js", javascript),
                Arguments.of("python", "/opt/agents/last_close.py", python));
    }

    @Test
    void aCustomAgentThatThrowsFailsWithItsException() {
        String sandbox = sandbox("base");
        e2b().writeE2BFile(sandbox, "/opt/agents/bad.js", "function agent() { throw new RangeError('too far'); }".getBytes(StandardCharsets.UTF_8));
        AgentResult result = e2b().runE2BAgent(sandbox, "bad", List.of("A"), Map.of("prices", Map.of("A", List.of(1, 2, 3))), false);
        assertEquals("failed", result.status());
        assertEquals("RangeError", result.error().name());
        assertEquals("too far", result.error().value());
    }

    @Test
    void anAgentThatDoesNotEndIsTimedOut() {
        String sandbox = sandbox("base");
        e2b().writeE2BFile(sandbox, "/opt/agents/endless.js", "function agent() { for (;;) {} }".getBytes(StandardCharsets.UTF_8));
        AgentResult result = e2b().runE2BAgent(
                sandbox, "endless", List.of("A"), Map.of("prices", Map.of("A", List.of(1, 2, 3)), "timeout", 1), false);
        assertEquals("timed_out", result.status());
        assertEquals("3", e2b().runE2BCode(sandbox, "javascript", "1 + 2", null, 10).result());
    }

    @Test
    void aPythonAgentInBaseIsUnsupported() {
        String sandbox = sandbox("base");
        e2b().writeE2BFile(sandbox, "/opt/agents/p.py", "def agent(input): return {}".getBytes(StandardCharsets.UTF_8));
        E2BException e = fails(E2BErrorCode.UNSUPPORTED, "agent_type",
                () -> e2b().runE2BAgent(sandbox, "p", List.of("A"), Map.of("prices", Map.of("A", List.of(1, 2))), false));
        assertTrue(e.getMessage().contains("template python"), e.getMessage());
    }
}
