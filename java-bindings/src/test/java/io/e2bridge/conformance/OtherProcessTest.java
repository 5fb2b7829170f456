package io.e2bridge.conformance;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import io.e2bridge.ChildJvm;
import io.e2bridge.DeploymentScaled;
import io.e2bridge.E2B;
import io.e2bridge.SandboxSummary;
import java.util.ArrayList;
import java.util.HashSet;
import java.util.List;
import java.util.Set;
import java.util.stream.Collectors;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;

/** At a cluster, what one process made is there for another: it is found again by the metadata of the sandboxes. */
@Timeout(120)
class OtherProcessTest {
    @Test
    void aDeploymentOfOneProcessIsListedScaledAndTerminatedByAnother() throws Exception {
        try (TheDouble services = new TheDouble();
                E2B client = services.open()) {
            JsonNode deployed = elsewhere(services, "deploy", "2");
            String deployment = deployed.get("deployment_id").textValue();
            Set<String> sandboxes = new HashSet<>();
            deployed.get("sandbox_ids").forEach(id -> sandboxes.add(id.textValue()));
            assertEquals(2, sandboxes.size());
            assertEquals(sandboxes, running(client, deployment));
            for (String sandbox : sandboxes) {
                assertEquals("base", client.getE2BSandboxStatus(sandbox).template());
                assertEquals(deployment, client.getE2BSandboxStatus(sandbox).deploymentId());
            }

            DeploymentScaled grown = client.scaleE2BDeployment(deployment, 3, false);
            assertEquals(2, grown.previousInstances());
            assertTrue(grown.sandboxIds().containsAll(sandboxes));
            assertEquals("blue\n", client.executeE2BProcess(grown.sandboxIds().getLast(), "echo $COLOUR", null, 10, true).stdout());

            assertEquals(1, elsewhere(services, "scale", deployment, "1").get("instances").intValue());
            Set<String> left = running(client, deployment);
            assertEquals(1, left.size());
            assertEquals("terminated", client.terminateE2BSandbox(left.iterator().next(), true).status());
            assertEquals(Set.of(), running(client, deployment));
            assertEquals(0, services.stats().get("sandboxes").intValue());
            services.verify();
        }
    }

    private static Set<String> running(E2B client, String deployment) {
        return client.listE2BSandboxes("running").sandboxes().stream()
                .filter(one -> deployment.equals(one.deploymentId()))
                .map(SandboxSummary::sandboxId)
                .collect(Collectors.toSet());
    }

    private static JsonNode elsewhere(TheDouble services, String... arguments) throws Exception {
        List<String> variables = new ArrayList<>(List.of("env"));
        services.environment().forEach((name, value) -> variables.add(name + "=" + value));
        ChildJvm.Result result = new ChildJvm().through(variables.toArray(String[]::new)).run(OtherProcess.class, arguments);
        assertEquals(0, result.exitCode(), result.output());
        return new ObjectMapper().readTree(result.output());
    }
}
