package io.e2bridge.conformance;

import static org.junit.jupiter.api.Assertions.assertEquals;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import io.e2bridge.Backend;
import io.e2bridge.ChildJvm;
import io.e2bridge.E2B;
import io.e2bridge.E2BConfig;
import io.e2bridge.Host;
import java.io.BufferedReader;
import java.io.IOException;
import java.io.InputStream;
import java.io.UncheckedIOException;
import java.net.HttpURLConnection;
import java.net.URI;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.Arrays;
import java.util.HashMap;
import java.util.Map;
import java.util.Set;
import java.util.concurrent.TimeUnit;

/** The double of the E2B services, as a process of its own that ends with this one: {@code rust/crates/cloud/double}. */
final class TheDouble implements Place {
    /** The key that it accepts. */
    static final String KEY = "e2b_" + "0".repeat(40);

    private static final Path SERVER = ChildJvm.ROOT.resolve("rust/crates/cloud/double/server.js");
    private static final ObjectMapper JSON = new ObjectMapper();

    private final Process process;
    private final String address;

    /** Starts it, or skips the test where Node.js is missing. */
    TheDouble() {
        Host.require(node(), "Node.js on PATH, for the double of the E2B services");
        try {
            process = new ProcessBuilder("node", SERVER.toString()).redirectError(ProcessBuilder.Redirect.INHERIT).start();
            BufferedReader output = process.inputReader();
            String port = output.readLine();
            address = "http://127.0.0.1:" + Integer.parseInt(port);
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
    }

    private static boolean node() {
        String path = System.getenv("PATH");
        return path != null && Arrays.stream(path.split(":")).anyMatch(one -> Files.isExecutable(Path.of(one, "node")));
    }

    @Override
    public String backend() {
        return "cloud";
    }

    @Override
    public Set<Capability> capabilities() {
        return Capability.OF_A_CLUSTER;
    }

    @Override
    public E2B open() {
        return E2B.open(config().build());
    }

    /** {@return a client with short time-outs in seconds} */
    E2B open(int seconds) {
        Duration time = Duration.ofSeconds(seconds);
        return E2B.open(config().connectTimeout(time).requestTimeout(time).idleTimeout(time).build());
    }

    /** {@return settings that lead here} */
    E2BConfig.Builder config() {
        return E2BConfig.builder().backend(Backend.CLOUD).apiKey(KEY).apiUrl(URI.create(address)).sandboxUrl(URI.create(address));
    }

    /** {@return the variables that lead here} */
    Map<String, String> environment() {
        return Map.of("E2B_BACKEND", "cloud", "E2B_API_KEY", KEY, "E2B_API_URL", address, "E2B_SANDBOX_URL", address);
    }

    /** Lets a call go wrong: {@code route} as in the counts, the rest as {@code lib/faults.js} says. */
    void fault(String route, String kind, Map<String, ?> more) {
        Map<String, Object> fault = new HashMap<>(more);
        fault.put("route", route);
        fault.put("kind", kind);
        ask("POST", "faults", fault);
    }

    /** Ends all faults. */
    void behave() {
        ask("DELETE", "faults", null);
    }

    /** Knows only the older create and connect, and answers the newer ones with a status; null: knows both. */
    void onlyOlder(Integer status) {
        Map<String, Object> mode = new HashMap<>();
        mode.put("v1Only", status);
        ask("PUT", "mode", mode);
    }

    /** {@return the counts: of requests, connections, sandboxes} */
    JsonNode stats() {
        return ask("GET", "stats", null);
    }

    /** {@return the requests since the last time that they were forgotten} */
    JsonNode requests() {
        return ask("GET", "requests", null);
    }

    /** Forgets requests and their counts. */
    void forget() {
        ask("DELETE", "requests", null);
    }

    private JsonNode ask(String method, String name, Object body) {
        try {
            HttpURLConnection connection = (HttpURLConnection) URI.create(address + "/-/" + name).toURL().openConnection();
            connection.setRequestMethod(method);
            if (body != null) {
                connection.setDoOutput(true);
                JSON.writeValue(connection.getOutputStream(), body);
            }
            int status = connection.getResponseCode();
            assertEquals(2, status / 100, method + " " + name + " answered " + status);
            try (InputStream answer = connection.getInputStream()) {
                return JSON.readTree(answer);
            }
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
    }

    /** Every request was as the published documents say; what could not be checked is said. */
    @Override
    public void verify() {
        JsonNode checks = ask("GET", "violations", null);
        checks.get("skipped").forEach(reason -> System.out.println("not checked: " + reason.textValue()));
        assertEquals("[]", checks.get("violations").toString());
    }

    @Override
    public void close() {
        try {
            process.getOutputStream().close();
            if (!process.waitFor(20, TimeUnit.SECONDS)) {
                process.destroyForcibly();
                throw new AssertionError("the double did not end with its input");
            }
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        } catch (InterruptedException e) {
            process.destroyForcibly();
            throw new IllegalStateException(e);
        }
    }
}
