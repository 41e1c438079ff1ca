"""Policy gradient: a network learns to balance a pole on a cart, from nothing but trying.

    python examples/reinforce.py [--episodes 400]

The cart is simulated here (Barto, Sutton and Anderson, 1983); the method is REINFORCE with a
baseline (Williams, 1992). An episode lasts at most 200 steps; each step earns 1.
"""

import argparse
import math

import flambeau as fb
import flambeau.nn as nn


class CartPole:
    """A pole on a cart that is pushed left (0) or right (1) every 0.02 s."""

    def reset(self):
        """Begin again near the upright position; return the state [x, speed, angle, turn]."""
        self.state, self.steps = (fb.rand(4) * 0.1 - 0.05).tolist(), 0
        return self.state

    def step(self, action):
        """Push; return (state, True when the pole fell or the time is over)."""
        x, speed, angle, turn = self.state
        force = 10.0 if action == 1 else -10.0
        sin, cos = math.sin(angle), math.cos(angle)
        # Cart 1 kg, pole 0.1 kg, half its length 0.5 m.
        push = (force + 0.05 * turn * turn * sin) / 1.1
        bend = (9.8 * sin - cos * push) / (0.5 * (4.0 / 3.0 - 0.1 * cos * cos / 1.1))
        pull = push - 0.05 * bend * cos / 1.1
        x, speed = x + 0.02 * speed, speed + 0.02 * pull
        angle, turn = angle + 0.02 * turn, turn + 0.02 * bend
        self.state, self.steps = [x, speed, angle, turn], self.steps + 1
        fell = abs(x) > 2.4 or abs(angle) > math.radians(12)
        return self.state, fell or self.steps >= 200


def play(policy, world):
    """Play one episode; return (log-probabilities of the actions, number of steps)."""
    state, done, chosen = world.reset(), False, []
    while not done:
        log_chance = policy(fb.tensor(state)).log_softmax(0)
        action = fb.multinomial(log_chance.detach().exp(), 1).item()
        chosen.append(log_chance[action])
        state, done = world.step(action)
    return fb.stack(chosen), len(chosen)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--episodes", type=int, default=400)
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()

    fb.manual_seed(args.seed)
    policy = nn.Sequential(nn.Linear(4, 64), nn.Tanh(), nn.Linear(64, 2))
    optimizer = fb.optim.Adam(policy.parameters(), lr=1e-2)
    world, recent = CartPole(), []
    for episode in range(args.episodes):
        log_chances, steps = play(policy, world)
        # What is still to come, discounted; centred and scaled it tells good moves from bad.
        returns, ahead = [], 0.0
        for _ in range(steps):
            ahead = 1.0 + 0.99 * ahead
            returns.append(ahead)
        worth = fb.tensor(returns[::-1])
        worth = (worth - worth.mean()) / (worth.std() + 1e-6)
        optimizer.zero_grad()
        loss = -(log_chances * worth).sum()
        loss.backward()
        optimizer.step()
        recent = [*recent[-19:], steps]
        mean = sum(recent) / len(recent)
        if episode % 50 == 0 or episode == args.episodes - 1:
            print(f"episode {episode:4d}  last 20 episodes: {mean:5.1f} steps")
        if len(recent) == 20 and mean > 195:
            print(f"Balanced: {mean:.1f} steps in episodes {episode - 19} to {episode}")
            break


if __name__ == "__main__":
    main()
