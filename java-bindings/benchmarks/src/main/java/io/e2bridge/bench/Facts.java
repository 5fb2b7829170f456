package io.e2bridge.bench;

import com.fasterxml.jackson.databind.node.JsonNodeFactory;
import com.fasterxml.jackson.databind.node.ObjectNode;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Instant;
import java.time.temporal.ChronoUnit;

/** On what the run was made. */
final class Facts {
    private Facts() {}

    static ObjectNode gather(Client client, Settings settings) throws IOException {
        ObjectNode facts = JsonNodeFactory.instance.objectNode();
        facts.put("date", Instant.now().truncatedTo(ChronoUnit.SECONDS).toString());
        facts.put("commit", Settings.said("commit"));
        facts.put("mode", settings.effort() == Effort.QUICK ? "quick" : "default");
        facts.put("rounds", settings.effort().rounds());
        facts.put("processor", field("/proc/cpuinfo", "model name"));
        facts.put("processors", Runtime.getRuntime().availableProcessors());
        facts.put("memory_gib", Math.round(Double.parseDouble(field("/proc/meminfo", "MemTotal").split(" ")[0]) / (1 << 20) * 10) / 10.0);
        facts.put("kernel", Files.readString(Path.of("/proc/sys/kernel/osrelease")).strip());
        facts.put("java", Runtime.version().toString());
        facts.put("user", System.getProperty("user.name"));
        facts.set("isolation", client.e2b().monitorE2BHealth().isolation().json());
        return facts;
    }

    static String text(ObjectNode facts) {
        return facts.path("date").asText() + ", commit " + facts.path("commit").asText() + ", " + facts.path("processors").asInt() + " × "
                + facts.path("processor").asText() + ", " + facts.path("memory_gib").asText() + " GiB, Linux " + facts.path("kernel").asText() + ", Java "
                + facts.path("java").asText() + "; isolation " + facts.path("isolation").path("tier").asText() + "; " + facts.path("rounds").asInt() + " rounds";
    }

    private static String field(String file, String name) throws IOException {
        return Files.readAllLines(Path.of(file)).stream()
                .filter(line -> line.startsWith(name))
                .map(line -> line.substring(line.indexOf(':') + 1).strip())
                .findFirst()
                .orElse("unknown");
    }
}
