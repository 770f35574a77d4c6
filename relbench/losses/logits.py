"""Losses between the logits of two classifiers."""

from torch import Tensor
from torch.nn.functional import kl_div

from relbench.losses.check_inputs import check_equal, check_inputs, check_positive


def hinton_kd(student_logits: Tensor, teacher_logits: Tensor, *, temperature: float) -> Tensor:
    """Distillation of soft labels (KD): the divergence from the teacher's class probabilities to the student's.

    ``temperature^2 KL(softmax(teacher / temperature) || softmax(student / temperature))``, the mean over images. The
    square keeps gradients about as large at any temperature.

    The square is part of this loss, so weights of codes without it must be divided by it. RKD's code for classification
    adds ``16 KL`` at temperature 4: that is this loss with weight 1, not 16.

    Args:
        student_logits: ``(batch, classes)``, floating. Get the gradient.
        teacher_logits: ``(batch, classes)``, floating, of the same classes in the same order, which a run makes sure
            of: a teacher that was trained on other classes is refused before any work. A constant.
        temperature: above 0. 4 is usual.

    Returns:
        Scalar in nats times `temperature` squared, 0 where the logits agree, and never below by more than rounding:
        in float32 by 1e-6 times `temperature` squared. float64 if either input is, else float32 (half precision is
        widened first).

    Raises:
        TypeError: an input is not a torch tensor.
        ValueError: an input is not a floating matrix, the shapes differ, the batch is empty, or the temperature is not
            above 0.

    Source:
        G. Hinton, O. Vinyals, J. Dean, arXiv:1503.02531, section 2; HobbitLong/RepDistiller@b84f547 `DistillKL`. The
        mean over images, not over entries, and the factor ``temperature^2`` follow the code. Usual weights: 1 beside
        cross-entropy (RKD, arXiv:1904.05068, table 4); 0.9 beside 0.1 of it (RepDistiller, and
        szagoruyko/attention-transfer@893df54).
    """
    check_positive("temperature", temperature)
    student, teacher = check_inputs(student_logits, teacher_logits)
    check_equal("classes", student.shape[1], teacher.shape[1], "soft labels need a teacher of the same classes")
    own, target = ((logits / temperature).log_softmax(dim=1) for logits in (student, teacher))
    return temperature**2 * kl_div(own, target, reduction="batchmean", log_target=True)
